package httpapi_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/server/servertest"
)

// running returns the number of statements like a pattern that the server is executing.
func (s testService) running(t *testing.T, pattern string) int {
	t.Helper()
	var n int
	err := s.db.Raw("SELECT COUNT(*) FROM information_schema.processlist WHERE db = DATABASE() AND info LIKE ?", pattern).Scan(&n).Error
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// lockKey returns a transaction that has inserted idempotency keys of a client, so that
// orders with these keys wait for its end.
func (s testService) lockKey(t *testing.T, customer int64, keys ...string) *gorm.DB {
	t.Helper()
	tx := s.db.Begin()
	t.Cleanup(func() { tx.Rollback() })
	for _, key := range keys {
		hash := sha256.Sum256([]byte(key))
		err := tx.Exec("INSERT INTO requests (customer_id, key_hash, body_hash, response, created_at) VALUES (?, ?, ?, '{}', NOW(6))",
			customer, database.Binary(hash[:]), database.Binary(hash[:])).Error
		if err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

// inFlight returns the number of requests that the server is handling.
func (s testService) inFlight(t *testing.T) float64 {
	t.Helper()
	families, err := s.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "http_requests_in_flight" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("no metric http_requests_in_flight")
	return 0
}

// callAsync sends a request and returns a channel that receives its response.
func (s testService) callAsync(t *testing.T, method, path, bearer, body string, header ...string) <-chan servertest.Response {
	t.Helper()
	done := make(chan servertest.Response, 1)
	go func() { done <- s.Call(t, method, path, bearer, body, header...) }()
	return done
}

func (s testService) countSales(t *testing.T, customer int64) int {
	t.Helper()
	var n int
	if err := s.db.Raw("SELECT COUNT(*) FROM sales WHERE customer_id = ?", customer).Scan(&n).Error; err != nil {
		t.Fatal(err)
	}
	return n
}

func after(d time.Duration) string { return deadline.Format(time.Now().Add(d)) }

func TestOrderAfterItsDeadlineIsNotPlaced(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := s.Call(t, "POST", "/sales", s.ann, order, deadline.Header, after(-time.Second))
	if a.Status != 503 || a.Code() != "timeout" || a.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s, want 503 timeout with Retry-After", a.Status, a.Body)
	}
	if n := s.countSales(t, annID); n != 0 {
		t.Errorf("%d sales were placed", n)
	}
}

// Both transactions that may be in flight wait for the keys of other orders. So the next
// two orders share a transaction, which then waits for the key of the first of them.
func TestOrderWithSlowTransactionIsNotPlacedAndOthersAre(t *testing.T) {
	t.Parallel()
	s := open(t)
	const key, insert = "Idempotency-Key", "INSERT INTO requests%"
	others, slow := s.lockKey(t, annID, "other 1", "other 2"), s.lockKey(t, annID, "slow")
	first := s.callAsync(t, "POST", "/sales", s.ann, order, key, "other 1")
	testenv.Eventually(t, "the first order waits for its key", func() bool { return s.running(t, insert) == 1 })
	second := s.callAsync(t, "POST", "/sales", s.ann, order, key, "other 2")
	testenv.Eventually(t, "the second order waits for its key", func() bool { return s.running(t, insert) == 2 })

	tooSlow := s.callAsync(t, "POST", "/sales", s.ann, order, key, "slow", deadline.Header, after(2*time.Second))
	inTime := s.callAsync(t, "POST", "/sales", s.bob, order, key, "fast")
	testenv.Eventually(t, "all orders are in flight", func() bool { return s.inFlight(t) == 4 })
	others.Rollback()
	for _, placed := range []<-chan servertest.Response{first, second} {
		if a := <-placed; a.Status != 202 {
			t.Errorf("an order without a deadline: %d %s, want 202", a.Status, a.Body)
		}
	}
	if a := <-tooSlow; a.Status != 503 || a.Code() != "timeout" || a.Header.Get("Retry-After") == "" {
		t.Errorf("an order whose transaction was too slow: %d %s, want 503 timeout with Retry-After", a.Status, a.Body)
	}
	if a := <-inTime; a.Status != 202 {
		t.Errorf("an order of the same transaction without a deadline: %d %s, want 202", a.Status, a.Body)
	}
	slow.Rollback()
	testenv.Eventually(t, "the slow transaction has ended", func() bool { return s.running(t, insert) == 0 && s.transactions(t) == 0 })
	if ann, bob := s.countSales(t, annID), s.countSales(t, 6); ann != 2 || bob != 1 {
		t.Errorf("%d sales of Ann and %d of Bob, want the 2 and the 1 that were acknowledged", ann, bob)
	}
	a := s.Call(t, "POST", "/sales", s.ann, order, key, "slow")
	if a.Status != 202 || a.Header.Get("Idempotent-Replayed") != "" {
		t.Errorf("the repeat: %d, replayed %q; want it placed now", a.Status, a.Header.Get("Idempotent-Replayed"))
	}
}

// transactions returns the number of open transactions in the schema.
func (s testService) transactions(t *testing.T) int {
	t.Helper()
	var n int
	err := s.db.Raw("SELECT COUNT(*) FROM information_schema.innodb_trx JOIN information_schema.processlist ON trx_mysql_thread_id = id " +
		"WHERE db = DATABASE() AND id != CONNECTION_ID()").Scan(&n).Error
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCancellationWithSlowTransactionChangesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	id := s.place(t, order)
	tx := s.db.Begin()
	t.Cleanup(func() { tx.Rollback() })
	if err := tx.Exec("SELECT id FROM sales WHERE id = ? FOR UPDATE", id).Error; err != nil {
		t.Fatal(err)
	}
	tooSlow := s.callAsync(t, "DELETE", path(id), s.ann, "", deadline.Header, after(time.Second))
	if a := <-tooSlow; a.Status != 503 || a.Code() != "timeout" {
		t.Errorf("%d %s, want 503 timeout", a.Status, a.Body)
	}
	tx.Rollback()
	testenv.Eventually(t, "the slow transaction has ended", func() bool { return s.transactions(t) == 0 })
	if got := s.Call(t, "GET", path(id), s.ann, "").JSON(t)["status"]; got != "Pending" {
		t.Errorf("the sale is %v, want Pending", got)
	}
	if a := s.Call(t, "DELETE", path(id), s.ann, ""); a.Status != 204 {
		t.Errorf("the repeat: %d %s, want 204", a.Status, a.Body)
	}
}
