package telemetry

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// Request is a request that was handled.
type Request struct {
	Method, Route, Path string
	Status, Bytes       int
	Took                time.Duration
	At                  time.Time // the end of the request; zero is now
	Client              string
	UserID              int64 // of the caller; 0 without a valid token
	// Long marks a stream, or a request that prefers to wait.
	Long bool

	RequestID, TraceParent string
}

// RequestLog writes one line for each request. The fields are always the same, and none is
// a secret, so they are encoded without slog, which costs several times as much. The line
// equals that of the logger.
type RequestLog struct {
	log  *slog.Logger
	ours *contextHandler // nil for a logger that NewLogger did not make
}

// NewRequestLog returns a RequestLog with the output of log.
func NewRequestLog(log *slog.Logger) RequestLog {
	if h, ok := log.Handler().(contextHandler); ok && h.fields != nil {
		return RequestLog{log, &h}
	}
	return RequestLog{log: log}
}

var requestLines = sync.Pool{New: func() any { b := make([]byte, 0, 1<<10); return &b }}

// Log writes a line, if the level is enabled.
func (l RequestLog) Log(level slog.Level, r Request) {
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	if l.ours == nil {
		ctx := Begin(context.Background(), r.RequestID, r.TraceParent)
		attrs := []slog.Attr{slog.String("method", r.Method), slog.String("route", r.Route),
			slog.String("path", r.Path), slog.Int("status", r.Status), slog.Int("bytes", r.Bytes),
			slog.Float64("seconds", r.Took.Seconds()), slog.String("client", r.Client)}
		if r.UserID != 0 {
			attrs = append(attrs, slog.Int64("userId", r.UserID))
		}
		l.log.LogAttrs(ctx, level, "request", attrs...)
		return
	}
	pooled := requestLines.Get().(*[]byte)
	defer requestLines.Put(pooled)
	b := (*pooled)[:0]
	b = append(b, `{"time":"`...)
	if r.At.IsZero() {
		r.At = time.Now()
	}
	b = r.At.AppendFormat(b, time.RFC3339Nano)
	name := "INFO"
	if level != slog.LevelInfo {
		name = level.String()
	}
	b = append(append(append(b, `","level":"`...), name...), `","msg":"request"`...)
	b = append(b, l.ours.fields...)
	b = append(append(b, `,"method":"`...), r.Method...) // Methods and routes are ours.
	b = append(append(b, `","route":"`...), r.Route...)
	b = appendText(append(b, '"'), "path", r.Path)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(r.Status), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), int64(r.Bytes), 10)
	b = appendSeconds(append(b, `,"seconds":`...), r.Took)
	b = appendText(b, "client", r.Client)
	if r.UserID != 0 {
		b = strconv.AppendInt(append(b, `,"userId":`...), r.UserID, 10)
	}
	if r.RequestID != "" {
		b = append(append(append(b, `,"requestId":"`...), r.RequestID...), '"') // It is valid, and so is the trace.
	}
	if id := traceID(r.TraceParent); id != "" {
		b = append(append(append(b, `,"traceId":"`...), id...), '"')
	}
	b = append(b, "}\n"...)
	*pooled = b[:0]
	_, _ = l.ours.w.Write(b) // slog ignores the error, too
}

// appendSeconds appends a duration as a number of seconds.
func appendSeconds(b []byte, d time.Duration) []byte {
	if d < 0 { // The clock was set back.
		b, d = append(b, '-'), -d
	}
	b = append(strconv.AppendInt(b, int64(d/time.Second), 10), '.')
	point := len(b)
	b = strconv.AppendInt(b, int64(d%time.Second+time.Second), 10) // a one, and nine digits
	return append(b[:point], b[point+1:]...)
}

// appendText appends a field with a string.
func appendText(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	for i := range len(value) {
		if !unquoted[value[i]] {
			quoted, err := json.Marshal(value)
			if err != nil {
				return append(b, `""`...) // A string can always be encoded.
			}
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), value...), '"')
}

// unquoted are the bytes that need no escape in a JSON string.
var unquoted = func() (table [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		table[c] = c != '"' && c != '\\'
	}
	return table
}()
