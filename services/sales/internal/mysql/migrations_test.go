package mysql_test

import (
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/sales/internal/mysql"
)

// migrationsBefore returns the migrations before a file.
func migrationsBefore(t *testing.T, file string) fs.FS {
	t.Helper()
	entries, err := fs.ReadDir(mysql.Migrations(), ".")
	if err != nil {
		t.Fatal(err)
	}
	before := fstest.MapFS{}
	for _, e := range entries {
		if e.Name() >= file {
			continue
		}
		data, err := fs.ReadFile(mysql.Migrations(), e.Name())
		if err != nil {
			t.Fatal(err)
		}
		before[e.Name()] = &fstest.MapFile{Data: data}
	}
	return before
}

func TestTimelineIsMigratedWithRepeatedEntries(t *testing.T) {
	t.Parallel()
	dsn, quiet := testenv.Schema(t), slog.New(slog.NewTextHandler(io.Discard, nil))
	if err := database.Migrate(t.Context(), dsn, migrationsBefore(t, "00006"), quiet); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	const insert = "INSERT INTO timeline (sale_id, type, data, at) VALUES "
	if err := db.Exec(insert + `(1, 'SaleCreated', '{}', NOW()), (1, 'StockReleased', '1', NOW()), (2, 'StockReleased', '{}', NOW()),
		(1, 'StockReleased', '2', NOW()), (1, 'StockReleased', '3', NOW())`).Error; err != nil {
		t.Fatal(err)
	}
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), quiet); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := db.Raw("SELECT CONCAT(sale_id, ' ', type, ' ', data) FROM timeline ORDER BY id").Scan(&left).Error; err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(left), "[1 SaleCreated {} 1 StockReleased 1 2 StockReleased {}]"; got != want {
		t.Errorf("entries %s, want %s", got, want)
	}
	if err := db.Exec(insert + "(1, 'StockReleased', '{}', NOW())").Error; !database.IsDuplicate(err) {
		t.Errorf("a repeated entry: error %v, want a duplicate", err)
	}
}

func TestSalesBeforeReconciliationAreMigrated(t *testing.T) {
	t.Parallel()
	dsn, quiet := testenv.Schema(t), slog.New(slog.NewTextHandler(io.Discard, nil))
	if err := database.Migrate(t.Context(), dsn, migrationsBefore(t, "00007"), quiet); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	insert := func(id int, status string, hold, reserved bool) {
		t.Helper()
		if err := db.Exec(`INSERT INTO sales (id, customer_id, status, hold, reserved, reason, items, currency, created_at, updated_at)
			VALUES (?, 5, ?, ?, ?, '', '[]', 'USD', NOW(6), NOW(6))`, id, status, hold, reserved).Error; err != nil {
			t.Fatal(err)
		}
	}
	insert(1, "Pending", false, false)
	insert(2, "Pending", true, true)
	insert(3, "Confirmed", false, true)
	insert(4, "Confirmed", false, true)
	insert(5, "Canceled", false, false)
	insert(6, "Canceled", false, false)
	insert(7, "Unauthorized", false, false)
	if err := db.Exec(`INSERT INTO timeline (sale_id, type, data, at) VALUES (3, 'SaleConfirmed', '{}', NOW()), (4, 'StockReleased', '{}', NOW()),
		(6, 'StockCanceled', '{}', NOW())`).Error; err != nil {
		t.Fatal(err)
	}
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), quiet); err != nil {
		t.Fatal(err)
	}
	insert(8, "Pending", false, false) // by a replica of the previous revision
	var awaiting []int64
	err = db.Raw("SELECT id FROM sales WHERE repeat_at BETWEEN NOW(6) + INTERVAL 30 SECOND AND NOW(6) + INTERVAL 90 SECOND ORDER BY id").Scan(&awaiting).Error
	if got, want := fmt.Sprint(awaiting), "[1 3 5 8]"; got != want || err != nil {
		t.Errorf("sales %s await stock (%v), want %s", got, err, want)
	}
}
