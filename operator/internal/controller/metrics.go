package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	phaseSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "ecommerce_operator_phase_duration_seconds",
		Help:    "Duration of a reconciliation phase in seconds.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10, 60},
	}, []string{"phase", "outcome"})

	driftCorrections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ecommerce_operator_drift_total",
		Help: "Corrections made to stacks that had been ready.",
	}, []string{"system"})

	callSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "ecommerce_operator_external_call_duration_seconds",
		Help:    "Duration of observing and correcting an external server in seconds.",
		Buckets: []float64{.005, .025, .1, .5, 2.5, 10, 60},
	}, []string{"system", "outcome"})
)

func init() { metrics.Registry.MustRegister(phaseSeconds, driftCorrections, callSeconds) }

func observePhase(phase string, started time.Time, err error) {
	phaseSeconds.WithLabelValues(phase, outcomeLabel(err)).Observe(time.Since(started).Seconds())
}

func observeCall(system string, started time.Time, err error) {
	callSeconds.WithLabelValues(system, outcomeLabel(err)).Observe(time.Since(started).Seconds())
}

func outcomeLabel(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
