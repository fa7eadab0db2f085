package main

import (
	"context"
	"log/slog"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// auditor audits the quantities in the background, and exports the result as metrics.
type auditor struct {
	audit            func(context.Context) (inventory.Report, error)
	log              *slog.Logger
	violations, last prometheus.Gauge

	mu sync.Mutex
	// inQuantities and inCheckpoints are the numbers of violations that were found last.
	inQuantities, inCheckpoints int
}

func newAuditor(audit func(context.Context) (inventory.Report, error), log *slog.Logger, reg prometheus.Registerer) *auditor {
	a := &auditor{audit: audit, log: log,
		violations: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_stock_audit_violations",
			Help: "Violations that the last audit found: quantities and checkpoints that differ from the ledger. All replicas report the same number."}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_stock_audit_last_success_timestamp_seconds",
			Help: "Unix time of the end of the last audit, with or without violations; 0 before the first."}),
	}
	reg.MustRegister(a.violations, a.last)
	return a
}

// run audits once. The metrics do not change if the audit fails.
func (a *auditor) run(ctx context.Context) error {
	report, err := a.audit(ctx)
	if err != nil {
		return err
	}
	a.report(ctx, &a.inQuantities, report.Violations)
	a.last.SetToCurrentTime()
	return nil
}

// verify compares a part of the ledger with the checkpoints. The metrics change after the last
// part.
func (a *auditor) verify(ctx context.Context, part func(context.Context) (bool, []inventory.Violation, error)) error {
	done, violations, err := part(ctx)
	if err != nil || !done {
		return err
	}
	a.report(ctx, &a.inCheckpoints, violations)
	return nil
}

// report sets one of the numbers, exports their sum, and logs the first violation.
func (a *auditor) report(ctx context.Context, number *int, found []inventory.Violation) {
	a.mu.Lock()
	defer a.mu.Unlock()
	*number = len(found)
	a.violations.Set(float64(a.inQuantities + a.inCheckpoints))
	if len(found) > 0 {
		a.log.ErrorContext(ctx, "audit found violations", "violations", len(found), "productId", found[0].ProductID, "rule", found[0].Rule)
	}
}
