// Package tracingtest traces a test. Such a test cannot be parallel: a process has one tracer.
package tracingtest

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/tracing"
)

// Process is a process that exports its spans to a receiver.
type Process struct {
	Metrics *prometheus.Registry
	// Stop is what tracing.Start has returned.
	Stop func(context.Context) error

	t   testing.TB
	log log
}

// Start starts tracing until the end of the test. endpoint is the URL of the receiver; further
// variables have the form "OTEL_TRACES_SAMPLER=always_on".
func Start(t testing.TB, endpoint string, edge bool, variables ...string) *Process {
	t.Helper()
	p := &Process{Metrics: prometheus.NewRegistry(), t: t}
	for _, v := range append(variables, "OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint) {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value) // fails in a parallel test
	}
	c, err := config.Load[tracing.Config]()
	if err != nil {
		t.Fatal(err)
	}
	p.Stop, err = tracing.Start(tracing.Options{Config: c, Service: "test", Edge: edge, Log: slog.New(slog.NewTextHandler(&p.log, nil)), Metrics: p.Metrics})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background()) })
	return p
}

// End ends tracing and exports what is recorded.
func (p *Process) End() {
	p.t.Helper()
	if err := p.Stop(context.Background()); err != nil {
		p.t.Fatal(err)
	}
}

// Counted returns the number of spans with a result: exported, failed or dropped.
func (p *Process) Counted(result string) float64 {
	p.t.Helper()
	families, err := p.Metrics.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "ecommerce_trace_spans_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	p.t.Fatalf("no metric of %s spans", result)
	return 0
}

// Log returns what was logged.
func (p *Process) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.text.String()
}

// log is written to in the background.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}
