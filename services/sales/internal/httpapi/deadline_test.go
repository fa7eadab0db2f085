package httpapi_test

import (
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
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

// lockTimeline locks the timeline, so that orders wait in their transactions until unlock is
// called.
func (s testService) lockTimeline(t *testing.T) (unlock func()) {
	t.Helper()
	pool, err := s.db.DB()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pool.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.ExecContext(t.Context(), "LOCK TABLES timeline WRITE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
			t.Error(err)
		}
	}
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

func TestOrderWithSlowTransactionIsNotPlacedAndOthersAre(t *testing.T) {
	t.Parallel()
	s := open(t)
	const key, insert = "Idempotency-Key", "INSERT INTO timeline%"
	unlock := s.lockTimeline(t)
	tooSlow := s.callAsync(t, "POST", "/sales", s.ann, order, key, "slow", deadline.Header, after(time.Second))
	testenv.Eventually(t, "the first order waits in its transaction", func() bool { return s.running(t, insert) == 1 })
	inTime := s.callAsync(t, "POST", "/sales", s.bob, order, key, "fast")
	testenv.Eventually(t, "the second order waits in its transaction", func() bool { return s.running(t, insert) == 2 })
	if a := <-tooSlow; a.Status != 503 || a.Code() != "timeout" || a.Header.Get("Retry-After") == "" {
		t.Errorf("an order whose transaction was too slow: %d %s, want 503 timeout with Retry-After", a.Status, a.Body)
	}
	unlock()
	if a := <-inTime; a.Status != 202 {
		t.Errorf("an order without a deadline: %d %s, want 202", a.Status, a.Body)
	}
	testenv.Eventually(t, "the slow transaction has ended", func() bool { return s.running(t, insert) == 0 && s.transactions(t) == 0 })
	if ann, bob := s.countSales(t, annID), s.countSales(t, 6); ann != 0 || bob != 1 {
		t.Errorf("%d sales of Ann and %d of Bob, want none, and the one that was acknowledged", ann, bob)
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
	tooSlow := s.callAsync(t, "DELETE", path(id), s.ann, "", deadline.Header, after(time.Second/2))
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
