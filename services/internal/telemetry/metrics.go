package telemetry

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ecommerce-stack.dev/services/internal/buildinfo"
)

// NewRegistry returns a registry with the metrics of the Go runtime and of the process, and build_info.
func NewRegistry(service string) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "build_info", Help: "The running build; always 1.",
		ConstLabels: prometheus.Labels{
			"service": service, "version": buildinfo.Version, "commit": buildinfo.Commit, "go": runtime.Version(),
		},
	})
	build.Set(1)
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		build,
	)
	return reg
}

// MetricsHandler returns a handler of scrapes of reg. Exemplars need OpenMetrics, native
// histograms the protobuf format.
func MetricsHandler(reg *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, MaxRequestsInFlight: 4, EnableOpenMetrics: true})
}
