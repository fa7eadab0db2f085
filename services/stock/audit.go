package main

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// auditor audits the quantities in the background, and exports the result as metrics.
type auditor struct {
	audit            func(context.Context) (inventory.Report, error)
	log              *slog.Logger
	violations, last prometheus.Gauge
}

func newAuditor(audit func(context.Context) (inventory.Report, error), log *slog.Logger, reg prometheus.Registerer) auditor {
	a := auditor{audit: audit, log: log,
		violations: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_stock_audit_violations",
			Help: "Violations that the last audit found: quantities that differ from the ledger. All replicas report the same number."}),
		last: prometheus.NewGauge(prometheus.GaugeOpts{Name: "ecommerce_stock_audit_last_success_timestamp_seconds",
			Help: "Unix time of the end of the last audit, with or without violations; 0 before the first."}),
	}
	reg.MustRegister(a.violations, a.last)
	return a
}

// run audits once. The metrics do not change if the audit fails.
func (a auditor) run(ctx context.Context) error {
	report, err := a.audit(ctx)
	if err != nil {
		return err
	}
	a.violations.Set(float64(len(report.Violations)))
	a.last.SetToCurrentTime()
	if n := len(report.Violations); n > 0 {
		first := report.Violations[0]
		a.log.ErrorContext(ctx, "audit found violations", "violations", n, "productId", first.ProductID, "rule", first.Rule)
	}
	return nil
}
