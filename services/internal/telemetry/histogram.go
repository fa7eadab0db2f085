package telemetry

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// HistogramOpts returns the options of a histogram with classic buckets and, for servers that
// scrape them, native ones: each at most 10 % wider than the one before, and at most 100.
// Native buckets show quantiles of values that the classic ones do not separate.
func HistogramOpts(name, help string, buckets []float64) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 100, NativeHistogramMinResetDuration: time.Hour,
	}
}
