package main

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"ecommerce-stack.dev/services/stock/internal/inventory"
)

func TestAuditIsExported(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	var report inventory.Report
	var failure error
	a := newAuditor(func(context.Context) (inventory.Report, error) { return report, failure },
		slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	start := float64(time.Now().Unix())
	if err := a.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n, last := testutil.ToFloat64(a.violations), testutil.ToFloat64(a.last); n != 0 || last < start || log.Len() > 0 {
		t.Errorf("no violation: %v, at %v, log %q", n, last, log.String())
	}
	report.Violations = []inventory.Violation{{ProductID: 7, Rule: "available differs"}, {ProductID: 8, Rule: "removed differs"}}
	if err := a.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(a.violations); n != 2 || !strings.Contains(log.String(), "productId=7") {
		t.Errorf("two violations: %v, log %q", n, log.String())
	}
	report.Violations, failure = nil, errors.New("no database")
	if err := a.run(t.Context()); !errors.Is(err, failure) {
		t.Errorf("a failed audit: %v, want %v", err, failure)
	}
	if n := testutil.ToFloat64(a.violations); n != 2 {
		t.Errorf("%v violations after a failed audit, want 2 as before", n)
	}
}

func TestViolationsOfCheckpointsAreExported(t *testing.T) {
	t.Parallel()
	report := inventory.Report{Violations: []inventory.Violation{{ProductID: 7, Rule: "available differs"}}}
	a := newAuditor(func(context.Context) (inventory.Report, error) { return report, nil }, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err := a.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		done bool
		err  error
		want float64
	}{{false, nil, 1}, {true, errors.New("no database"), 1}, {true, nil, 2}} {
		err := a.verify(t.Context(), func(context.Context) (bool, []inventory.Violation, error) {
			return c.done, []inventory.Violation{{ProductID: 8, Rule: "the checkpoint differs"}}, c.err
		})
		if n := testutil.ToFloat64(a.violations); !errors.Is(err, c.err) || n != c.want {
			t.Errorf("done %t: %v violations, error %v, want %v and %v", c.done, n, err, c.want, c.err)
		}
	}
}
