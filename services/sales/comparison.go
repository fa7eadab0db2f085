package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/reservations"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// comparison compares the sales, a range of ids at a time, with the reservations of stock, and
// starts again after the last one. It only compares sales that await no response of stock: their
// status and that of their reservation are final, so that both services can be read one after the
// other. A held sale is not compared until it is decided.
type comparison struct {
	sales        salesReader
	reservations reservations.List
	log          *slog.Logger

	next        int64         // the first id of the next range
	differences map[int64]int // how many were last found in a range, by its first id; without the ranges that have none
	total       int           // the sum of differences
	found, last prometheus.Gauge
}

// salesReader reads sales for the comparison.
type salesReader interface {
	// SalesInRange returns the sales with ids from first to last.
	SalesInRange(ctx context.Context, first, last int64) ([]sale.Sale, error)
	// LastSale returns the highest id of a sale, 0 without one.
	LastSale(ctx context.Context) (int64, error)
}

func newComparison(store salesReader, list reservations.List, log *slog.Logger, reg prometheus.Registerer) *comparison {
	c := &comparison{sales: store, reservations: list, log: log, next: 1, differences: map[int64]int{},
		found: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_sales_stock_differences",
			Help: "Sales whose reservation in stock contradicts them, of all sales that were compared."}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_sales_stock_comparison_last_success_timestamp_seconds",
			Help: "Time at which sales were last compared with the reservations of stock; 0 before the first time."}),
	}
	reg.MustRegister(c.found, c.last)
	return c
}

// run compares one range.
func (c *comparison) run(ctx context.Context) error {
	first, last := c.next, c.next+reservations.MaxRange-1
	highest, err := c.sales.LastSale(ctx)
	if err != nil {
		return err
	}
	sales, err := c.sales.SalesInRange(ctx, first, last)
	if err != nil {
		return err
	}
	reserved, err := c.reservations(ctx, first, last)
	if err != nil {
		return err
	}
	differences := compare(sales, reserved)
	// A sale may have been committed after its range was read.
	again, err := c.sales.SalesInRange(ctx, first, last)
	if err != nil {
		return err
	}
	known := map[int64]bool{}
	for _, s := range again {
		known[s.ID] = true
	}
	maps.DeleteFunc(differences, func(id int64, difference string) bool { return difference == unknownSale && known[id] })
	for i, id := range slices.Sorted(maps.Keys(differences)) {
		if i == maxLogged {
			c.log.ErrorContext(ctx, "further sales and their reservations in stock contradict each other", "count", len(differences)-maxLogged)
			break
		}
		c.log.ErrorContext(ctx, "a sale and its reservation in stock contradict each other", "saleId", id, "difference", differences[id])
	}
	c.total += len(differences) - c.differences[first]
	if c.differences[first] = len(differences); len(differences) == 0 {
		delete(c.differences, first)
	}
	c.found.Set(float64(c.total))
	c.last.SetToCurrentTime()
	if c.next = last + 1; c.next > highest {
		c.next = 1
	}
	return nil
}

// maxLogged is the maximum number of differences of one range that are logged. A database that was
// restored from a backup may differ in every sale.
const maxLogged = 20

// unknownSale is the difference of a reservation without a sale.
const unknownSale = "stock holds or has removed goods for a sale that does not exist"

// compare returns the differences between sales and the reservations of the same range, by sale.
func compare(sales []sale.Sale, reserved []reservations.Reservation) map[int64]string {
	of := map[int64]reservations.Reservation{}
	for _, r := range reserved {
		of[r.SaleID] = r
	}
	differences := map[int64]string{}
	for _, s := range sales {
		r, found := of[s.ID]
		delete(of, s.ID)
		if s.AwaitsStock {
			continue
		}
		holds := r.Status == reservations.Reserved || r.Status == reservations.Removed
		switch s.Status {
		case sale.Confirmed:
			switch {
			case !found:
				differences[s.ID] = "the sale is Confirmed, but stock has no reservation"
			case r.Status != reservations.Removed:
				differences[s.ID] = fmt.Sprintf("the sale is Confirmed, but the reservation is %s", r.Status)
			case r.Lines != digest(s):
				differences[s.ID] = "the sale is Confirmed, but stock has removed other items"
			}
		case sale.Canceled, sale.Unauthorized:
			if holds {
				differences[s.ID] = fmt.Sprintf("the sale is %s, but the reservation is %s", s.Status, r.Status)
			}
		case sale.Pending:
			if !found {
				differences[s.ID] = "the sale is held, but stock has no reservation"
			}
		}
	}
	for id, r := range of {
		if r.Status == reservations.Reserved || r.Status == reservations.Removed {
			differences[id] = unknownSale
		}
	}
	return differences
}

func digest(s sale.Sale) string {
	items := make([]event.Item, len(s.Items))
	for i, it := range s.Items {
		items[i] = event.Item{ProductID: it.ProductID, Quantity: it.Quantity}
	}
	return reservations.Digest(items)
}
