package local_test

import (
	"database/sql"
	"fmt"
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

// TestChangedRowsAreReportedAsContradictions changes rows of both services behind their backs.
func TestChangedRowsAreReportedAsContradictions(t *testing.T) {
	t.Parallel()
	s := startShop(t, 100)
	var sales []int64
	for range 4 {
		sales = append(sales, s.order(t).ID)
	}
	for _, id := range sales {
		s.awaitConfirmed(t, id)
	}
	s.awaitStock(t, client.Stock{Available: 96, Removed: 4})
	if err := s.Restart(t.Context(), s.stopped(t, "sales")); err != nil { // It compares the settled sales at its start.
		t.Fatal(err)
	}
	s.awaitDifferences(t, 0)
	db, err := sql.Open("mysql", s.MySQL.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	change := func(statement string, arguments ...any) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement, arguments...); err != nil {
			t.Fatal(err)
		}
	}
	change("UPDATE "+stockSchema+".reservations SET status = 'Released' WHERE sale_id = ?", sales[0])
	change("UPDATE "+stockSchema+".reservations SET lines_json = JSON_SET(lines_json, '$[0].quantity', 2) WHERE sale_id = ?", sales[1])
	change("DELETE FROM "+stockSchema+".reservations WHERE sale_id = ?", sales[2])
	change("UPDATE "+salesSchema+".sales SET status = 'Canceled' WHERE id = ?", sales[3])
	s.awaitDifferences(t, 4)
	change("UPDATE "+stockSchema+".reservations SET status = 'Removed' WHERE sale_id = ?", sales[0])
	s.awaitDifferences(t, 3)
}

// stopped stops a service and returns its name.
func (s shop) stopped(t *testing.T, name string) string {
	t.Helper()
	if err := s.StopService(name); err != nil {
		t.Error(err)
	}
	return name
}

// awaitDifferences waits until a comparison has found a number of contradictions.
func (s shop) awaitDifferences(t *testing.T, want int) {
	t.Helper()
	compared := regexp.MustCompile(`(?m)^ecommerce_sales_stock_comparison_last_success_timestamp_seconds(\{.*\})? [1-9]`)
	number := regexp.MustCompile(fmt.Sprintf(`(?m)^ecommerce_sales_stock_differences(\{.*\})? %d$`, want))
	testenv.Eventually(t, fmt.Sprintf("%d contradictions are reported", want), func() bool {
		metrics := s.metrics(t, "sales")
		return compared.MatchString(metrics) && number.MatchString(metrics)
	})
}
