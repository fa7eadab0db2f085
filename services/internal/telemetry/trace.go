package telemetry

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"strings"
)

// Header fields with the ids of a request.
const (
	RequestIDHeader   = "X-Request-Id"
	TraceParentHeader = "Traceparent" // W3C Trace Context
)

// ids is a context with the ids of a request, and what its handler has found out.
type ids struct {
	context.Context
	requestID, traceParent string

	userID int64
	long   bool
}

type idsKey struct{}

// Value implements context.Context.
func (c *ids) Value(key any) any {
	if key == (idsKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func idsOf(ctx context.Context) *ids {
	c, _ := ctx.Value(idsKey{}).(*ids)
	return c
}

// maxRequestID bounds what is accepted from outside; a UUID has 36.
const maxRequestID = 128

// Identify returns the ids of a request that came with the given ones, which may be missing
// or not valid: its own id or a new one, and a traceparent that continues its trace, or
// begins one, in a new span. They are unique, not secret.
func Identify(requestID, traceParent string) (id, child string) {
	b := make([]byte, 0, requestIDLen+traceParentLen)
	if !ValidRequestID(requestID) {
		b = appendRequestID(b)
	}
	n := len(b)
	both := string(appendChild(b, traceParent))
	if n > 0 {
		requestID = both[:n]
	}
	return requestID, both[n:]
}

// Lengths of the ids that this package makes.
const (
	requestIDLen   = 36
	traceParentLen = 55
)

// appendRequestID appends a UUID of version 4 (RFC 9562, section 5.4).
func appendRequestID(b []byte) []byte {
	var id [16]byte
	binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	b = append(hex.AppendEncode(b, id[:4]), '-')
	b = append(hex.AppendEncode(b, id[4:6]), '-')
	b = append(hex.AppendEncode(b, id[6:8]), '-')
	b = append(hex.AppendEncode(b, id[8:10]), '-')
	return hex.AppendEncode(b, id[10:])
}

// ValidRequestID reports whether an id from outside may be logged and forwarded: 1 to 128
// letters, digits and "-_.:".
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

// Begin returns a context with the ids of a request.
func Begin(ctx context.Context, requestID, traceParent string) context.Context {
	return &ids{Context: ctx, requestID: requestID, traceParent: traceParent}
}

// RequestID returns the request id of ctx, or "".
func RequestID(ctx context.Context) string {
	if c := idsOf(ctx); c != nil {
		return c.requestID
	}
	return ""
}

// WithTraceParent returns a context with a traceparent (W3C Trace Context). One that is not
// valid is replaced by that of a new trace.
func WithTraceParent(ctx context.Context, traceParent string) context.Context {
	if !ValidTraceParent(traceParent) {
		traceParent = newTraceParent()
	}
	return &ids{Context: ctx, requestID: RequestID(ctx), traceParent: traceParent}
}

// TraceParent returns the traceparent of ctx, or "".
func TraceParent(ctx context.Context) string {
	if c := idsOf(ctx); c != nil {
		return c.traceParent
	}
	return ""
}

// SetUserID sets the id of the user that sent the request of ctx, for its log line. Only the
// goroutine that handles the request may call it.
func SetUserID(ctx context.Context, id int64) {
	if c := idsOf(ctx); c != nil {
		c.userID = id
	}
}

// UserID returns what SetUserID has set, or 0.
func UserID(ctx context.Context) int64 {
	if c := idsOf(ctx); c != nil {
		return c.userID
	}
	return 0
}

// SetLong marks the request of ctx as a stream or one that prefers to wait. Only the
// goroutine that handles the request may call it.
func SetLong(ctx context.Context) {
	if c := idsOf(ctx); c != nil {
		c.long = true
	}
}

// IsLong reports whether SetLong was called.
func IsLong(ctx context.Context) bool {
	c := idsOf(ctx)
	return c != nil && c.long
}

// TraceID returns the trace id of ctx, 32 hex digits, or "".
func TraceID(ctx context.Context) string { return traceID(TraceParent(ctx)) }

// traceID returns the trace id of a valid traceparent.
func traceID(traceParent string) string {
	if traceParent == "" {
		return ""
	}
	return traceParent[3:35]
}

// sampled reports whether a traceparent, which is valid or empty, has the flag sampled.
func sampled(traceParent string) bool {
	return traceParent != "" && strings.IndexByte("13579bdf", traceParent[54]) >= 0
}

// newTraceParent returns the traceparent of a new trace.
func newTraceParent() string { return string(appendChild(make([]byte, 0, traceParentLen), "")) }

// appendChild appends a traceparent that continues the trace of parent in a new span, or
// begins a trace if parent is not valid.
func appendChild(b []byte, parent string) []byte {
	flags := "-01"
	if ValidTraceParent(parent) {
		b = append(append(b, "00"...), parent[2:36]...)
		flags = parent[52:55]
	} else {
		b = appendHex(append(b, "00-"...), rand.Uint64()|1) // not all zeros
		b = append(appendHex(b, rand.Uint64()), '-')
	}
	return append(appendHex(b, rand.Uint64()|1), flags...)
}

func appendHex(b []byte, n uint64) []byte {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], n)
	return hex.AppendEncode(b, raw[:])
}

// ValidTraceParent reports whether tp is a traceparent of version 00, or begins like one and
// has a later version (W3C Trace Context, section 3.2).
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
