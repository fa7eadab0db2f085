package httpapi_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/server/servertest"
)

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("still not so after 30s: %s", what)
		}
	}
}

// running counts the statements like a pattern that the server is executing.
func (d desk) running(t *testing.T, pattern string) int {
	t.Helper()
	var n int
	err := d.db.Raw("SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE ?", pattern).Scan(&n).Error
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lockKey opens a transaction that holds a client's idempotency key, so that an order
// with it waits. Its rollback leaves no trace.
func (d desk) lockKey(t *testing.T, customer int64, keys ...string) *gorm.DB {
	t.Helper()
	tx := d.db.Begin()
	t.Cleanup(func() { tx.Rollback() })
	for _, key := range keys {
		hash := sha256.Sum256([]byte(key))
		err := tx.Exec("INSERT INTO requests (customer_id, key_hash, body_hash, answer, created_at) VALUES (?, ?, ?, '{}', NOW(6))",
			customer, database.Binary(hash[:]), database.Binary(hash[:])).Error
		if err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

// inFlight is the number of requests that the server has begun.
func (d desk) inFlight(t *testing.T) float64 {
	t.Helper()
	families, err := d.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "http_requests_in_flight" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no metric http_requests_in_flight")
	return 0
}

// begin sends a request and returns where its response will be.
func (d desk) begin(t *testing.T, method, path, bearer, body string, header ...string) <-chan servertest.Response {
	t.Helper()
	done := make(chan servertest.Response, 1)
	go func() { done <- d.Call(t, method, path, bearer, body, header...) }()
	return done
}

func (d desk) countSales(t *testing.T, customer int64) int {
	t.Helper()
	var n int
	if err := d.db.Raw("SELECT COUNT(*) FROM sales WHERE customer_id = ?", customer).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func after(d time.Duration) string { return deadline.Format(time.Now().Add(d)) }

func TestOrderThatArrivesAfterItsDeadlineIsNotPlaced(t *testing.T) {
	t.Parallel()
	d := open(t)
	a := d.Call(t, "POST", "/sales", d.ann, order, deadline.Header, after(-time.Second))
	if a.Status != 503 || a.Code() != "timeout" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s, want 503 timeout with Retry-After", a.Status, a.Body)
	}
	if n := d.countSales(t, annID); n != 0 {
		t.Errorf("%d sales were placed", n)
	}
}

// Both transactions that may be in flight wait for the keys of other orders, so that the
// next two orders share a transaction, which then waits for the key of the first.
func TestOrderWhoseTransactionIsTooSlowIsNotPlacedAndOthersAre(t *testing.T) {
	t.Parallel()
	d := open(t)
	const key, insert = "Idempotency-Key", "INSERT INTO requests%"
	others, slow := d.lockKey(t, annID, "other 1", "other 2"), d.lockKey(t, annID, "slow")
	first := d.begin(t, "POST", "/sales", d.ann, order, key, "other 1")
	eventually(t, "the first order waits for its key", func() bool { return d.running(t, insert) == 1 })
	second := d.begin(t, "POST", "/sales", d.ann, order, key, "other 2")
	eventually(t, "the second order waits for its key", func() bool { return d.running(t, insert) == 2 })

	late := d.begin(t, "POST", "/sales", d.ann, order, key, "slow", deadline.Header, after(2*time.Second))
	inTime := d.begin(t, "POST", "/sales", d.bob, order, key, "fast")
	eventually(t, "all orders are in flight", func() bool { return d.inFlight(t) == 4 })
	others.Rollback()
	for _, placed := range []<-chan servertest.Response{first, second} {
		if a := <-placed; a.Status != 202 {
			t.Errorf("an order without a deadline: %d %s, want 202", a.Status, a.Body)
		}
	}
	if a := <-late; a.Status != 503 || a.Code() != "timeout" || a.Header.Get("Retry-After") == "" {
		t.Errorf("an order whose transaction was too slow: %d %s, want 503 timeout with Retry-After", a.Status, a.Body)
	}
	if a := <-inTime; a.Status != 202 {
		t.Errorf("an order of the same transaction without a deadline: %d %s, want 202", a.Status, a.Body)
	}
	slow.Rollback()
	eventually(t, "the slow transaction has ended", func() bool { return d.running(t, insert) == 0 && d.transactions(t) == 0 })
	if ann, bob := d.countSales(t, annID), d.countSales(t, 6); ann != 2 || bob != 1 {
		t.Errorf("%d sales of Ann and %d of Bob, want the 2 and the 1 that were acknowledged", ann, bob)
	}
	a := d.Call(t, "POST", "/sales", d.ann, order, key, "slow")
	if a.Status != 202 || a.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("the repeat: %d, replayed %q; want it placed now", a.Status, a.Header.Get("Idempotent-Replayed"))
	}
}

// transactions counts those that are open in the schema.
func (d desk) transactions(t *testing.T) int {
	t.Helper()
	var n int
	err := d.db.Raw("SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist ON trx_mysql_thread_id = id " +
		"WHERE db = DATABASE() AND id != CONNECTION_ID()").Scan(&n).Error
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCancellationWhoseTransactionIsTooSlowChangesNothing(t *testing.T) {
	t.Parallel()
	d := open(t)
	id := d.place(t, order)
	tx := d.db.Begin()
	t.Cleanup(func() { tx.Rollback() })
	if err := tx.Exec("SELECT id FROM sales WHERE id = ? FOR UPDATE", id).Error; err != nil {
		t.Fatal(err)
	}
	late := d.begin(t, "DELETE", path(id), d.ann, "", deadline.Header, after(time.Second))
	if a := <-late; a.Status != 503 || a.Code() != "timeout" {
		t.Errorf("%d %s, want 503 timeout", a.Status, a.Body)
	}
	tx.Rollback()
	eventually(t, "the slow transaction has ended", func() bool { return d.transactions(t) == 0 })
	if got := d.Call(t, "GET", path(id), d.ann, "").JSON(t)["status"]; got != "Pending" {
		t.Errorf("the sale is %v, want Pending", got)
	}
	if a := d.Call(t, "DELETE", path(id), d.ann, ""); a.Status != 204 {
		t.Errorf("the repeat: %d %s, want 204", a.Status, a.Body)
	}
}
