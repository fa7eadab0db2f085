package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/reservations"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// fakeSales are sales in memory.
type fakeSales struct {
	sales []sale.Sale
	// committed is called after each read.
	committed func()
}

func (f *fakeSales) SalesInRange(_ context.Context, first, last int64) ([]sale.Sale, error) {
	var found []sale.Sale
	for _, s := range f.sales {
		if s.ID >= first && s.ID <= last {
			found = append(found, s)
		}
	}
	if f.committed != nil {
		f.committed()
	}
	return found, nil
}

func (f *fakeSales) LastSale(context.Context) (int64, error) {
	if len(f.sales) == 0 {
		return 0, nil
	}
	return f.sales[len(f.sales)-1].ID, nil
}

var (
	items = []sale.Item{{ProductID: 8, Quantity: 1}, {ProductID: 7, Quantity: 2}}
	lines = reservations.Digest([]event.Item{{ProductID: 7, Quantity: 2}, {ProductID: 8, Quantity: 1}})
)

func TestContradictionsBetweenServicesAreFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status      sale.Status
		awaits      bool
		reservation string // its status; "" for none
		lines       string
		want        string
	}{
		"confirmed":                   {sale.Confirmed, false, "Removed", lines, ""},
		"confirmed without":           {sale.Confirmed, false, "", "", "no reservation"},
		"confirmed, goods returned":   {sale.Confirmed, false, "Released", lines, "Confirmed, but the reservation is Released"},
		"confirmed, not removed":      {sale.Confirmed, false, "Reserved", lines, "Confirmed, but the reservation is Reserved"},
		"confirmed, other items":      {sale.Confirmed, false, "Removed", "x", "other items"},
		"confirmed a moment ago":      {sale.Confirmed, true, "Reserved", lines, ""},
		"canceled":                    {sale.Canceled, false, "Released", lines, ""},
		"canceled before the request": {sale.Canceled, false, "", "", ""},
		"canceled, goods held":        {sale.Canceled, false, "Reserved", lines, "Canceled, but the reservation is Reserved"},
		"canceled, goods removed":     {sale.Canceled, false, "Removed", lines, "Canceled, but the reservation is Removed"},
		"canceled a moment ago":       {sale.Canceled, true, "Reserved", lines, ""},
		"unauthorized":                {sale.Unauthorized, false, "Rejected", lines, ""},
		"unauthorized, goods held":    {sale.Unauthorized, false, "Reserved", lines, "Unauthorized, but the reservation is Reserved"},
		"held":                        {sale.Pending, false, "Reserved", lines, ""},
		"held, confirmed since":       {sale.Pending, false, "Removed", lines, ""},
		"held without":                {sale.Pending, false, "", "", "held, but stock has no reservation"},
		"pending":                     {sale.Pending, true, "", "", ""},
	} {
		var reserved []reservations.Reservation
		if c.reservation != "" {
			reserved = []reservations.Reservation{{SaleID: 5, Status: c.reservation, Lines: c.lines}}
		}
		got := compare([]sale.Sale{{ID: 5, Status: c.status, AwaitsStock: c.awaits, Items: items}}, reserved)[5]
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	unknown := compare(nil, []reservations.Reservation{{SaleID: 1, Status: "Reserved"}, {SaleID: 2, Status: "Released"}, {SaleID: 3, Status: "Removed"}})
	if diff := cmp.Diff(map[int64]string{1: unknownSale, 3: unknownSale}, unknown); diff != "" {
		t.Errorf("reservations without a sale (-want +got):\n%s", diff)
	}
}

func TestComparisonReadsAllRangesAndStartsAgain(t *testing.T) {
	t.Parallel()
	store := &fakeSales{}
	stock := map[int64]reservations.Reservation{}
	for id := int64(1); id <= 2500; id++ {
		store.sales = append(store.sales, sale.Sale{ID: id, Status: sale.Confirmed, Items: items})
		stock[id] = reservations.Reservation{SaleID: id, Status: "Removed", Lines: lines}
	}
	var unavailable error
	server := httptest.NewServer(reservations.Handler(func(_ context.Context, first, last int64) ([]reservations.Reservation, error) {
		var found []reservations.Reservation
		for id := first; id <= last; id++ {
			if r, ok := stock[id]; ok {
				found = append(found, r)
			}
		}
		return found, unavailable
	}, slog.New(slog.DiscardHandler)))
	t.Cleanup(server.Close)
	metrics := prometheus.NewRegistry()
	c := newComparison(store, reservations.Fetch(server.URL), slog.New(slog.DiscardHandler), metrics)
	run := func(when string, want float64) {
		t.Helper()
		if err := c.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if got := f.GetMetric()[0].GetGauge().GetValue(); f.GetName() == "ecommerce_sales_stock_differences" && got != want {
				t.Errorf("%s: %v differences, want %v", when, got, want)
			}
		}
	}
	stock[2400] = reservations.Reservation{SaleID: 2400, Status: "Reserved", Lines: lines}
	run("first range", 0)
	run("second range", 0)
	run("third range", 1)
	stock[3] = reservations.Reservation{SaleID: 3, Status: "Released", Lines: lines}
	run("first range again", 2)
	stock[2400] = reservations.Reservation{SaleID: 2400, Status: "Removed", Lines: lines}
	run("second range again", 2)
	run("third range again", 1)

	// A failure changes nothing, and the range is read again.
	unavailable = errors.New("no database")
	if err := c.run(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want the 503 of stock", err)
	}
	unavailable = nil
	delete(stock, 3)
	run("after the failure", 1)

	// A sale that is committed between the reads of its range is not missing.
	c.next = 2001
	stock[2600] = reservations.Reservation{SaleID: 2600, Status: "Reserved", Lines: lines}
	store.committed = func() {
		store.committed = nil
		store.sales = append(store.sales, sale.Sale{ID: 2600, Status: sale.Pending, Items: items})
	}
	run("a new sale", 1)
}

func TestManyDifferencesAreLoggedInPart(t *testing.T) {
	t.Parallel()
	store := &fakeSales{}
	for id := int64(1); id <= 100; id++ {
		store.sales = append(store.sales, sale.Sale{ID: id, Status: sale.Confirmed, Items: items})
	}
	none := func(context.Context, int64, int64) ([]reservations.Reservation, error) { return nil, nil }
	var log bytes.Buffer
	c := newComparison(store, none, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(log.String(), "\n"); lines != maxLogged+1 || !strings.Contains(log.String(), "count=80") {
		t.Errorf("100 differences are %d lines, want %d and one with the count of the others:\n%s", lines, maxLogged, log.String())
	}
}
