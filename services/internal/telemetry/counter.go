package telemetry

import "github.com/prometheus/client_golang/prometheus"

// NewCounterVec returns counters with one label, which exist for all its values from the
// start, so that rate() and increase() include the first increment.
func NewCounterVec(name, help, label string, values ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	for _, v := range values {
		vec.WithLabelValues(v)
	}
	return vec
}
