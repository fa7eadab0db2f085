package local_test

import (
	"io"
	"net/http"
	"regexp"
	"testing"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
)

// metrics returns the metrics of a service.
func (s shop) metrics(t *testing.T, service string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.MetricsURL(service)+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestSalesInLostQueuesAreDecided purges the queues while orders are placed, and deletes them
// with the events of orders that stock has not received.
func TestSalesInLostQueuesAreDecided(t *testing.T) {
	t.Parallel()
	const orders, quantity = 40, 1000
	s := startShop(t, quantity, "RECONCILE_AFTER=1s")
	channel := s.record(t).channel
	lost := 0
	purge := func() {
		t.Helper()
		for _, q := range event.Queues {
			n, err := channel.QueuePurge(q.Name, false)
			if err != nil {
				t.Fatal(err)
			}
			lost += n
		}
	}
	var sales []int64
	for range orders / 2 {
		sales = append(sales, s.order(t).ID)
		purge()
	}
	if err := s.StopService("stock"); err != nil {
		t.Fatal(err)
	}
	for range orders / 2 {
		sales = append(sales, s.order(t).ID)
	}
	lost = 0
	testenv.Eventually(t, "events of orders are lost", func() bool { purge(); return lost > 0 })
	for _, q := range event.Queues {
		if _, err := channel.QueueDelete(q.Name, false, false, false); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.DeclareQueues(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), "stock"); err != nil {
		t.Fatal(err)
	}
	for _, id := range sales {
		s.awaitConfirmed(t, id)
		s.awaitEntry(t, id, event.StockReleasedType)
	}
	s.awaitStock(t, client.Stock{Available: quantity - orders, Removed: orders})
	if !regexp.MustCompile(`(?m)^ecommerce_sales_repeated_events_total\{.*\} [1-9]`).MatchString(s.metrics(t, "sales")) {
		t.Error("no repeated event is counted")
	}
}
