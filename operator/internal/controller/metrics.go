package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	phaseSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "ecommerce_operator_phase_duration_seconds",
		Help:    "Duration of a phase of a pass.",
		Buckets: []float64{.001, .005, .025, .1, .5, 2.5, 10, 60},
	}, []string{"phase", "outcome"})

	drifts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ecommerce_operator_drift_total",
		Help: "Differences that were healed on stacks that had been as they should be.",
	}, []string{"system"})

	callSeconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "ecommerce_operator_external_call_duration_seconds",
		Help:    "Duration of an observation of an external server, with what it changed.",
		Buckets: []float64{.005, .025, .1, .5, 2.5, 10, 60},
	}, []string{"system", "outcome"})
)

func init() { metrics.Registry.MustRegister(phaseSeconds, drifts, callSeconds) }

func observePhase(phase string, started time.Time, err error) {
	phaseSeconds.WithLabelValues(phase, result(err)).Observe(time.Since(started).Seconds())
}

func observeCall(system string, started time.Time, err error) {
	callSeconds.WithLabelValues(system, result(err)).Observe(time.Since(started).Seconds())
}

func result(err error) string {
	if err != nil {
		return "error"
	}
	return "ok"
}
