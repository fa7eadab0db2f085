package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"github.com/google/uuid"
)

type (
	requestIDKey   struct{}
	traceParentKey struct{}
)

// maxRequestID bounds what is accepted from outside; a UUID has 36.
const maxRequestID = 128

// NewRequestID makes an id for a request that came without a usable one.
func NewRequestID() string { return uuid.NewString() }

// ValidRequestID says whether an id from outside may be logged and passed on: 1 to
// 128 letters, digits and "-_.:".
func ValidRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '_', c == '.', c == ':':
		default:
			return false
		}
	}
	return true
}

// WithRequestID gives ctx the id of the request it serves.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID of ctx, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithTraceParent gives ctx a traceparent (W3C Trace Context). One that is not
// valid is replaced by a new trace.
func WithTraceParent(ctx context.Context, traceParent string) context.Context {
	if !ValidTraceParent(traceParent) {
		traceParent = NewTraceParent()
	}
	return context.WithValue(ctx, traceParentKey{}, traceParent)
}

// TraceParent of ctx, to be passed on to whoever works for the same trace, or "".
func TraceParent(ctx context.Context) string {
	tp, _ := ctx.Value(traceParentKey{}).(string)
	return tp
}

// TraceID of ctx: 32 hex digits, or "".
func TraceID(ctx context.Context) string {
	tp := TraceParent(ctx)
	if tp == "" {
		return ""
	}
	return tp[3:35]
}

// NewTraceParent begins a trace.
func NewTraceParent() string {
	var b [24]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "00-" + hex.EncodeToString(b[:16]) + "-" + hex.EncodeToString(b[16:]) + "-01"
}

// ChildTraceParent continues the trace of parent in a span of its own; it begins
// one when parent is not valid.
func ChildTraceParent(parent string) string {
	if !ValidTraceParent(parent) {
		return NewTraceParent()
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return "00" + parent[2:36] + hex.EncodeToString(b[:]) + parent[52:55]
}

// ValidTraceParent says whether tp is a traceparent: version 00 exactly, or the
// known beginning of a later version (W3C Trace Context, section 3.2).
func ValidTraceParent(tp string) bool {
	if len(tp) < 55 || len(tp) > 256 || tp[2] != '-' || tp[35] != '-' || tp[52] != '-' {
		return false
	}
	version := tp[:2]
	if !isHex(version) || version == "ff" || (version == "00" && len(tp) != 55) || (len(tp) > 55 && tp[55] != '-') {
		return false
	}
	trace, span := tp[3:35], tp[36:52]
	return isHex(trace) && isHex(span) && isHex(tp[53:55]) && !zeros(trace) && !zeros(span)
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
