package tracing

import (
	"context"
	"encoding/hex"

	"go.opentelemetry.io/otel/trace"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// knownFlags are those of the W3C Trace Context, level 2.
const knownFlags = trace.FlagsSampled | trace.FlagsRandom

// withParent returns a context with the span of a traceparent as the parent, or ctx if it is
// not valid.
func withParent(ctx context.Context, traceParent string) context.Context {
	if !telemetry.ValidTraceParent(traceParent) {
		return ctx
	}
	var c trace.SpanContextConfig
	var flags [1]byte
	decode(c.TraceID[:], traceParent[3:35])
	decode(c.SpanID[:], traceParent[36:52])
	decode(flags[:], traceParent[53:55])
	c.TraceFlags, c.Remote = trace.TraceFlags(flags[0])&knownFlags, true
	return trace.ContextWithRemoteSpanContext(ctx, trace.NewSpanContext(c))
}

// decode decodes hexadecimal digits that were checked.
func decode(to []byte, digits string) { _, _ = hex.Decode(to, []byte(digits)) }

// traceParentOf returns the traceparent of a span (W3C Trace Context, section 3.2).
func traceParentOf(span trace.Span) string {
	c := span.SpanContext()
	id, parent := c.TraceID(), c.SpanID()
	b := make([]byte, 0, len("00-")+32+1+16+1+2)
	b = append(hex.AppendEncode(append(b, "00-"...), id[:]), '-')
	b = append(hex.AppendEncode(b, parent[:]), '-')
	return string(hex.AppendEncode(b, []byte{byte(c.TraceFlags() & knownFlags)}))
}
