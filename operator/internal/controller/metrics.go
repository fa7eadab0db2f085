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

	rotations = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ecommerce_operator_rotations_total",
		Help: "Credentials that were replaced, by kind: account, administrator or key.",
	}, []string{"kind"})
)

// Kinds of credentials that are rotated.
const (
	kindAccount       = "account"
	kindAdministrator = "administrator"
	kindKey           = "key"
)

// Systems in which drift is corrected.
const (
	systemKubernetes = "Kubernetes"
	systemMySQL      = "MySQL"
	systemRabbitMQ   = "RabbitMQ"
)

// Every label value exists from the start, so that an increase includes the first event.
func init() {
	metrics.Registry.MustRegister(phaseSeconds, driftCorrections, callSeconds, rotations)
	for _, system := range []string{systemKubernetes, systemMySQL, systemRabbitMQ} {
		driftCorrections.WithLabelValues(system)
	}
	for _, kind := range []string{kindAccount, kindAdministrator, kindKey} {
		rotations.WithLabelValues(kind)
	}
	for _, outcome := range []string{outcomeOK, outcomeError} {
		for _, phase := range phases {
			phaseSeconds.WithLabelValues(phase.name, outcome)
		}
		for _, system := range []string{"mysql", "rabbitmq"} {
			callSeconds.WithLabelValues(system, outcome)
		}
	}
}

// Outcomes of phases and calls.
const (
	outcomeOK    = "ok"
	outcomeError = "error"
)

func observePhase(phase string, started time.Time, err error) {
	phaseSeconds.WithLabelValues(phase, outcomeLabel(err)).Observe(time.Since(started).Seconds())
}

func observeCall(system string, started time.Time, err error) {
	callSeconds.WithLabelValues(system, outcomeLabel(err)).Observe(time.Since(started).Seconds())
}

func outcomeLabel(err error) string {
	if err != nil {
		return outcomeError
	}
	return outcomeOK
}
