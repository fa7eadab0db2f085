package tracing

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Config has the variables of the OpenTelemetry specification that decide whether and how a
// process traces. The exporter reads further ones itself, such as OTEL_EXPORTER_OTLP_TIMEOUT.
// An empty variable counts as not set.
type Config struct {
	// Endpoint is the base URL of the receiver; TracesEndpoint is the whole URL for traces, and
	// takes precedence. Without either, nothing is traced.
	Endpoint       Endpoint `env:"OTEL_EXPORTER_OTLP_ENDPOINT"`
	TracesEndpoint Endpoint `env:"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"`
	// OTLPHeaders are sent with every export; they may contain a credential.
	OTLPHeaders    Headers  `env:"OTEL_EXPORTER_OTLP_HEADERS"`
	TracesHeaders  Headers  `env:"OTEL_EXPORTER_OTLP_TRACES_HEADERS"`
	OTLPProtocol   Protocol `env:"OTEL_EXPORTER_OTLP_PROTOCOL"`
	TracesProtocol Protocol `env:"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"`
	Exporter       Exporter `env:"OTEL_TRACES_EXPORTER"`
	SDKDisabled    bool     `env:"OTEL_SDK_DISABLED"`
	Sampler        Sampler  `env:"OTEL_TRACES_SAMPLER"`
	SamplerArg     Ratio    `env:"OTEL_TRACES_SAMPLER_ARG"`
}

// Enabled reports whether the process traces.
func (c Config) Enabled() bool {
	return (c.Endpoint != "" || c.TracesEndpoint != "") && !c.SDKDisabled && c.Exporter != exporterNone
}

// endpoint returns the URL that is exported to, or its base.
func (c Config) endpoint() Endpoint {
	if c.TracesEndpoint != "" {
		return c.TracesEndpoint
	}
	return c.Endpoint
}

// ErrInvalid is the error of a value that is not valid. It does not contain the value, which
// may be secret.
var ErrInvalid = errors.New("invalid value")

// Endpoint is an http or https URL without credentials, query and fragment.
type Endpoint string

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Endpoint) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return ErrInvalid
	}
	*e = Endpoint(text)
	return nil
}

// Expected describes the values for package config.
func (Endpoint) Expected() string {
	return "a URL of the form http://host:port without credentials and a query"
}

// Headers is a list such as "api-key=secret,tenant=shop", with percent-encoded values. It
// holds the values alone.
type Headers struct{ values []string }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Headers) UnmarshalText(text []byte) error {
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); err != nil || !found || name == "" || strings.ContainsFunc(name, isNotToken) {
			return ErrInvalid
		}
		h.values = append(h.values, value)
	}
	return nil
}

// Expected describes the values for package config.
func (Headers) Expected() string {
	return "a comma-separated list of name=value with percent-encoded values"
}

// isNotToken reports whether r may not be in the name of a field (RFC 9110, section 5.6.2).
func isNotToken(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

// Protocol is the encoding of exports.
type Protocol string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Protocol) UnmarshalText(text []byte) error {
	*p = Protocol(text)
	return oneOf(*p, "http/protobuf", "http/json")
}

// Expected describes the values for package config.
func (Protocol) Expected() string { return "http/protobuf or http/json" }

// Exporter is the exporter of traces.
type Exporter string

const exporterNone Exporter = "none"

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Exporter) UnmarshalText(text []byte) error {
	*e = Exporter(text)
	return oneOf(*e, "otlp", exporterNone)
}

// Expected describes the values for package config.
func (Exporter) Expected() string { return "otlp or none" }

// Sampler is the name of a sampler.
type Sampler string

// Samplers. Those whose names begin with "parentbased_", of which the first is the default,
// follow the flag of the parent.
const (
	parentBasedAlwaysOn  Sampler = "parentbased_always_on"
	parentBasedAlwaysOff Sampler = "parentbased_always_off"
	parentBasedRatio     Sampler = "parentbased_traceidratio"
	alwaysOn             Sampler = "always_on"
	alwaysOff            Sampler = "always_off"
	ratio                Sampler = "traceidratio"
)

var samplers = []Sampler{parentBasedAlwaysOn, parentBasedAlwaysOff, parentBasedRatio, alwaysOn, alwaysOff, ratio}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Sampler) UnmarshalText(text []byte) error {
	*s = Sampler(text)
	return oneOf(*s, samplers...)
}

// Expected describes the values for package config.
func (Sampler) Expected() string {
	names := make([]string, len(samplers))
	for i, s := range samplers {
		names[i] = string(s)
	}
	return "one of " + strings.Join(names, ", ")
}

// Ratio is the share of traces that are sampled, from 0 to 1. Nil is not set, and means 1.
type Ratio struct{ value *float64 }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Ratio) UnmarshalText(text []byte) error {
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || !(v >= 0 && v <= 1) { // NaN is neither.
		return ErrInvalid
	}
	r.value = &v
	return nil
}

// Expected describes the values for package config.
func (Ratio) Expected() string { return "a number from 0 to 1" }

// share returns the ratio, or 1.
func (r Ratio) share() float64 {
	if r.value == nil {
		return 1
	}
	return *r.value
}

func oneOf[T ~string](v T, valid ...T) error {
	if !slices.Contains(valid, v) {
		return ErrInvalid
	}
	return nil
}
