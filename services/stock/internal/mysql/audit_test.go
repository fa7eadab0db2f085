package mysql_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/stock/internal/mysql"
)

const products, movements = 1000, 60_000

// openLedger returns the store of a stock that has run for long: 60,000 movements of 1,000 products,
// half of them of the first. Their ids go up to 1,200,000.
func openLedger(t *testing.T) (*mysql.Store, *gorm.DB) {
	t.Helper()
	s, db := openStore(t)
	receive(t, db, 20, movements)
	return s, db
}

func openStore(t testing.TB) (*mysql.Store, *gorm.DB) {
	t.Helper()
	db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
	return mysql.New(db, outbox.New("stock", db, broker.NewPublisher("", "test"), slog.New(slog.DiscardHandler), prometheus.NewRegistry())), db
}

// receive adds n movements, whose ids are multiples of step, and the stocks of the products.
func receive(t testing.TB, db *gorm.DB, step, n int) {
	t.Helper()
	const numbers = "WITH RECURSIVE d (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM d WHERE n < 9) "
	const part = 100_000 // of one statement
	for from := 0; from < n; from += part {
		exec(t, db, fmt.Sprintf("INSERT INTO movements (id, product_id, kind, quantity, at) "+numbers+
			"SELECT %d * (i + 1), IF(i %% 2 = 0, 1, i %% %d + 1), 'received', 1, NOW(6) - INTERVAL 2 MINUTE FROM "+
			"(SELECT %d + a.n + 10 * b.n + 100 * c.n + 1000 * e.n + 10000 * f.n AS i FROM d a, d b, d c, d e, d f) AS numbers "+
			"WHERE i < %d ORDER BY i", step, products, from, n))
	}
	exec(t, db, "INSERT INTO stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at) "+numbers+
		"SELECT a.n + 10 * b.n + 100 * c.n + 1, 0, 0, 0, 0, NOW(6) FROM d a, d b, d c")
	exec(t, db, fmt.Sprintf("UPDATE stocks SET available = %d DIV %d WHERE product_id %% 2 = 0", n, products))
	exec(t, db, fmt.Sprintf("UPDATE stocks SET available = %d DIV 2 WHERE product_id = 1", n))
}

func exec(t testing.TB, db *gorm.DB, statement string) {
	t.Helper()
	if err := db.Exec(statement).Error; err != nil {
		t.Fatal(err)
	}
}

func advance(t testing.TB, s *mysql.Store) (calls int) {
	t.Helper()
	for more := true; more; calls++ {
		var err error
		if more, err = s.AdvanceCheckpoint(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return calls
}

// verify verifies all checkpoints and returns the number of violations.
func verify(t *testing.T, v *mysql.CheckpointVerifier) int {
	t.Helper()
	for {
		done, violations, err := v.Verify(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if done {
			return len(violations)
		}
	}
}

func TestAuditReadsWhatIsNew(t *testing.T) {
	t.Parallel()
	s, db := openLedger(t)
	audit := func(violations int, newMovements int64) {
		t.Helper()
		began := time.Now()
		report, err := s.Audit(t.Context())
		took := time.Since(began)
		if err != nil || report.Products != products || report.Movements != movements+newMovements || len(report.Violations) != violations {
			t.Errorf("%d products, %d movements, violations %v, %v; want %d violations", report.Products, report.Movements, report.Violations, err, violations)
		}
		if newMovements > 0 && took > time.Second {
			t.Errorf("the audit took %s, want less than a second", took)
		}
	}
	audit(0, 0) // without a checkpoint
	if calls := advance(t, s); calls != 3 {
		t.Errorf("%d transactions, want 3, which each read a part of the ledger", calls)
	}
	v := s.NewCheckpointVerifier()
	if n := verify(t, v); n != 0 {
		t.Errorf("%d violations in correct checkpoints", n)
	}
	exec(t, db, "INSERT INTO movements (product_id, kind, quantity, sale_id, at) VALUES (1, 'reserved', 5, 1, NOW(6)), (2, 'received', 7, NULL, NOW(6))")
	exec(t, db, "UPDATE stocks SET available = available - 5, reserved_sales = 5 WHERE product_id = 1")
	audit(1, 2) // the row of product 2 has not changed
	exec(t, db, "UPDATE stocks SET available = available + 7 WHERE product_id = 2")
	audit(0, 2)
	if more, err := s.AdvanceCheckpoint(t.Context()); more || err != nil {
		t.Errorf("more %t, %v", more, err)
	}
	var mark int64
	if err := db.Raw("SELECT movement_id FROM audit_checkpoints WHERE product_id = 0").Scan(&mark).Error; err != nil || mark != 20*movements {
		t.Errorf("checkpoint at %d, %v", mark, err)
	}
	audit(0, 2)
	exec(t, db, "INSERT INTO movements (product_id, kind, quantity, at) VALUES (5000, 'received', 1, NOW(6))")
	audit(1, 3) // a product without a stock row
	exec(t, db, "DELETE FROM movements WHERE product_id = 5000")

	exec(t, db, "UPDATE movements SET quantity = 2 WHERE product_id = 10 LIMIT 1")
	audit(0, 2) // it has been summed up
	if n := verify(t, v); n != 1 {
		t.Errorf("%d violations, want that of the changed movement", n)
	}
	audit(1, 2) // The checkpoint is corrected, and the quantity differs from the ledger.
	exec(t, db, "UPDATE stocks SET available = available + 1 WHERE product_id = 10")
	exec(t, db, "UPDATE audit_checkpoints SET received = received + 1 WHERE product_id IN (1, 4)")
	audit(2, 2)
	if n := verify(t, v); n != 2 {
		t.Errorf("%d violations, want those of the two checkpoints", n)
	}
	audit(0, 2)
	if n := verify(t, v); n != 0 {
		t.Errorf("%d violations in corrected checkpoints", n)
	}
}

// TestReplicasAdvanceTheCheckpointOnce advances it concurrently.
func TestReplicasAdvanceTheCheckpointOnce(t *testing.T) {
	t.Parallel()
	s, _ := openLedger(t)
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() {
			for {
				more, err := s.AdvanceCheckpoint(t.Context())
				if err != nil || !more {
					errs <- err
					return
				}
			}
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Log(err) // A replica whose lock wait ends tries again later.
		}
	}
	advance(t, s)
	if n := verify(t, s.NewCheckpointVerifier()); n != 0 {
		t.Errorf("%d violations", n)
	}
	if report, err := s.Audit(t.Context()); err != nil || len(report.Violations) != 0 || report.Movements != movements {
		t.Errorf("%d movements, violations %v, %v", report.Movements, report.Violations, err)
	}
}

// BenchmarkAudit audits 1,000 products with 10^7 movements in their checkpoints, and 1,000 after them.
func BenchmarkAudit(b *testing.B) {
	s, db := openStore(b)
	receive(b, db, 1, 10_000_000)
	b.Logf("%d transactions advanced the checkpoints", advance(b, s))
	exec(b, db, "INSERT INTO movements (product_id, kind, quantity, at) SELECT product_id, 'received', 1, NOW(6) FROM stocks")
	exec(b, db, "UPDATE stocks SET available = available + 1")
	for b.Loop() {
		if report, err := s.Audit(b.Context()); err != nil || report.Movements != 10_001_000 || len(report.Violations) > 0 {
			b.Fatalf("%d movements, violations %v, %v", report.Movements, report.Violations, err)
		}
	}
}
