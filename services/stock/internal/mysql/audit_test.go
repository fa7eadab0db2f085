package mysql_test

import (
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
	db := databasetest.Open(t, testenv.Schema(t), mysql.Migrations())
	exec(t, db, "INSERT INTO movements (id, product_id, kind, quantity, at) SELECT 20 * seq, IF(seq % 2 = 0, 1, seq % 1000 + 1), 'received', 1, "+
		"NOW(6) - INTERVAL 2 MINUTE FROM seq_1_to_60000")
	exec(t, db, "INSERT INTO stocks (product_id, available, reserved_sales, reserved_manual, removed, updated_at) "+
		"SELECT seq, 0, 0, 0, 0, NOW(6) FROM seq_1_to_1000")
	exec(t, db, "UPDATE stocks JOIN (SELECT product_id, SUM(quantity) AS n FROM movements GROUP BY product_id) AS m USING (product_id) SET available = n")
	return mysql.New(db, outbox.New("stock", db, broker.NewPublisher("", "test"), slog.New(slog.DiscardHandler), prometheus.NewRegistry())), db
}

func exec(t *testing.T, db *gorm.DB, statement string) {
	t.Helper()
	if err := db.Exec(statement).Error; err != nil {
		t.Fatal(err)
	}
}

func advance(t *testing.T, s *mysql.Store) (calls int) {
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

// TestAuditReadsWhatIsNew needs the sequences of MariaDB for its rows.
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
