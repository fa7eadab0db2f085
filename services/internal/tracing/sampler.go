package tracing

import (
	"fmt"
	"math/rand/v2"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// newSampler returns the sampler of a process.
//
// At the edge the parent of a request is a client, whose flag does not count: anyone could
// set it and have every request recorded. Its trace id does not decide, either, because a
// client could use one that it has seen sampled. So such a trace is sampled at random.
// Behind the edge, a parent is another service, and its flag counts.
func newSampler(c Config, edge bool) sdk.Sampler {
	var root, untrusted sdk.Sampler
	switch c.Sampler {
	case alwaysOff, parentBasedAlwaysOff:
		root, untrusted = sdk.NeverSample(), sdk.NeverSample()
	case ratio, parentBasedRatio:
		share := c.SamplerArg.share()
		root, untrusted = sdk.TraceIDRatioBased(share), random{share}
	default:
		root, untrusted = sdk.AlwaysSample(), sdk.AlwaysSample()
	}
	switch {
	case edge:
		root = sdk.ParentBased(root, sdk.WithRemoteParentSampled(untrusted), sdk.WithRemoteParentNotSampled(untrusted))
	case c.Sampler != alwaysOn && c.Sampler != alwaysOff && c.Sampler != ratio:
		root = sdk.ParentBased(root)
	}
	return batchSampler{root}
}

// random samples a share of the traces, whatever their ids are.
type random struct{ share float64 }

// ShouldSample implements sdk.Sampler.
func (s random) ShouldSample(sdk.SamplingParameters) sdk.SamplingResult {
	if rand.Float64() < s.share {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return sdk.SamplingResult{Decision: sdk.Drop}
}

// Description implements sdk.Sampler.
func (s random) Description() string { return fmt.Sprintf("Random{%g}", s.share) }

// batchSampler samples the span of a batch, which begins a trace and has links to sampled
// spans only, and leaves other decisions to another sampler.
type batchSampler struct{ sdk.Sampler }

// ShouldSample implements sdk.Sampler.
func (s batchSampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if len(p.Links) > 0 && !trace.SpanContextFromContext(p.ParentContext).IsValid() {
		return sdk.SamplingResult{Decision: sdk.RecordAndSample}
	}
	return s.Sampler.ShouldSample(p)
}
