package v1alpha1

// ObservabilitySpec configures the scraping of metrics and the export of traces. Dashboards
// and alerts are about all stacks, and belong to the operator's chart.
type ObservabilitySpec struct {
	// podMonitors creates a PodMonitor (monitoring.coreos.com/v1) for each component
	// if the cluster serves that kind; the condition PodMonitorsApplied reports it.
	// Without PodMonitors the components' Services have the annotations
	// prometheus.io/scrape, prometheus.io/port and prometheus.io/path. Default: true.
	// It can be changed at any time; no pod is replaced.
	// +kubebuilder:default=true
	// +optional
	PodMonitors *bool `json:"podMonitors,omitempty"`
	// tracing exports the traces of the four services with OpenTelemetry. Default: no
	// traces. It can be changed at any time; the pods are replaced.
	// +optional
	Tracing *TracingSpec `json:"tracing,omitempty"`
}

// TracingSpec configures the export of traces.
type TracingSpec struct {
	// endpoint is the URL of a collector that receives OTLP over HTTP, reachable from
	// the pods, such as http://otel-collector.observability:4318. Traces are sent to
	// the path v1/traces below it. At most 512 characters, without user, password,
	// query and fragment. It can be changed at any time; the pods are replaced.
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.matches('^https?://([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|[[][0-9A-Fa-f:.]+[]])(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?$') && isURL(self) && (url(self).getPort() == '' || (int(url(self).getPort()) >= 1 && int(url(self).getPort()) <= 65535))",message="spec.observability.tracing.endpoint must be the URL of an OTLP/HTTP collector such as http://otel-collector.observability:4318: http or https, without user, password, query and fragment"
	// +required
	Endpoint string `json:"endpoint"`
	// samplingRatio is the share of the traces that are exported, a decimal number from
	// 0 to 1 in quotes, with at most 6 decimal places. The gateway decides for a whole
	// trace; the flag of a client does not count. Default: "0.05", 5 % of the traces. It
	// can be changed at any time; the pods are replaced.
	// +kubebuilder:default="0.05"
	// +kubebuilder:validation:MaxLength=8
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0([.][0-9]{1,6})?|1([.]0{1,6})?)$')",message="spec.observability.tracing.samplingRatio must be a number from 0 to 1 in quotes with at most 6 decimal places, such as \"0.05\" for 5 % of the traces"
	// +optional
	SamplingRatio string `json:"samplingRatio,omitempty"`
}
