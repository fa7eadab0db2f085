package main

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// saleMetrics are the metrics of sales and dead letters. All replicas report the same rows;
// each reports the decisions that it committed.
type saleMetrics struct {
	decisions       *prometheus.CounterVec
	seconds         *prometheus.HistogramVec
	deadLetters     prometheus.Gauge
	repeated        *prometheus.CounterVec
	oldestUndecided atomic.Int64 // the creation time in Unix milliseconds, 0 without a sale
}

// outcomes are the values of the labels status and reason.
var outcomes = []struct {
	status sale.Status
	reason string
}{
	{sale.Confirmed, ""}, {sale.Canceled, event.ReasonCustomer}, {sale.Canceled, event.ReasonExpired},
	{sale.Unauthorized, event.ReasonInsufficientStock}, {sale.Unauthorized, event.ReasonUnknownProduct},
}

func newMetrics(reg prometheus.Registerer) *saleMetrics {
	m := &saleMetrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ecommerce_sales_decided_total",
			Help: "Sales that got their final status, by status and reason."}, []string{"status", "reason"}),
		seconds: prometheus.NewHistogramVec(telemetry.HistogramOpts("ecommerce_sale_decision_seconds",
			"Time from the acceptance of a sale to its decision. A hold also waits for its customer.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 900}), []string{"hold"}),
		deadLetters: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_dead_letters",
			Help: "Dead letters that are stored until a manager redrives or deletes them. All replicas report the same number."}),
		repeated: telemetry.NewCounterVec("ecommerce_sales_repeated_events_total",
			"Commands published again, because stock did not respond in time, by type.", "type",
			event.SaleCreatedType, event.SaleConfirmedType, event.SaleCanceledType),
	}
	for _, o := range outcomes {
		m.decisions.WithLabelValues(string(o.status), o.reason)
	}
	for _, hold := range []bool{false, true} {
		m.seconds.WithLabelValues(strconv.FormatBool(hold))
	}
	reg.MustRegister(m.decisions, m.seconds, m.deadLetters, m.repeated, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ecommerce_sales_oldest_undecided_seconds",
		Help: "Age of the oldest sale that waits for stock or its decision, 0 without one. A reserved hold does not count. All replicas report the same age."},
		m.undecidedSeconds))
	return m
}

// recordDecision counts a sale that was decided, and returns the time in seconds that its
// decision took.
func (m *saleMetrics) recordDecision(s sale.Sale) (seconds float64) {
	seconds = max(0, s.UpdatedAt.Sub(s.CreatedAt).Seconds())
	m.decisions.WithLabelValues(string(s.Status), s.Reason).Inc()
	m.seconds.WithLabelValues(strconv.FormatBool(s.Hold)).Observe(seconds)
	return seconds
}

// metricsReader reads the values that update exports. Its methods return a *failure.Error of
// kind KindUnavailable while the database is unavailable.
type metricsReader interface {
	CountDeadLetters(ctx context.Context) (int64, error)
	// OldestUndecided returns the zero time without an undecided sale.
	OldestUndecided(ctx context.Context) (time.Time, error)
}

// update reads the metrics of rows. A metric whose read fails does not change; the age of
// an undecided sale then grows.
func (m *saleMetrics) update(ctx context.Context, r metricsReader) error {
	deadLetters, deadLettersErr := r.CountDeadLetters(ctx)
	if deadLettersErr == nil {
		m.deadLetters.Set(float64(deadLetters))
	}
	oldest, oldestErr := r.OldestUndecided(ctx)
	switch {
	case oldestErr != nil:
	case oldest.IsZero():
		m.oldestUndecided.Store(0)
	default:
		m.oldestUndecided.Store(oldest.UnixMilli())
	}
	return errors.Join(deadLettersErr, oldestErr)
}

func (m *saleMetrics) undecidedSeconds() float64 {
	oldest := m.oldestUndecided.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, database.Now().Sub(time.UnixMilli(oldest)).Seconds())
}

// recordRepeated counts commands that were published again, by type.
func (m *saleMetrics) recordRepeated(events map[string]int) {
	for eventType, n := range events {
		m.repeated.WithLabelValues(eventType).Add(float64(n))
	}
}
