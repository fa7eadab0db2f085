// Package telemetry provides the logs and metrics of a program: JSON log lines, a
// Prometheus registry, and the request and trace ids that correlate them across programs.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"ecommerce-stack.dev/services/internal/buildinfo"
)

// NewLogger returns a logger of JSON lines with the service, version and commit, and the
// request and trace id of the context. Values of attributes with the name of a secret, such
// as password or token, are redacted. LevelHandler changes its level.
func NewLogger(w io.Writer, service string, level slog.Level) *slog.Logger {
	current := new(slog.LevelVar)
	current.Set(level)
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: current, ReplaceAttr: redact})
	flush := func() {}
	if b, ok := w.(*Buffer); ok {
		flush = b.Flush
	}
	common := []slog.Attr{slog.String("service", service), slog.String("version", buildinfo.Version), slog.String("commit", buildinfo.Commit)}
	var fields []byte
	for _, a := range common {
		fields = appendText(fields, a.Key, a.Value.String())
	}
	return slog.New(contextHandler{h.WithAttrs(common), flush, current, w, fields})
}

var (
	separators  = strings.NewReplacer("_", "", "-", "")
	secretNames = []string{"password", "secret", "token", "authorization", "cookie", "dsn", "credential", "privatekey"}
)

func redact(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindString && a.Value.Kind() != slog.KindAny {
		return a
	}
	name := strings.ToLower(separators.Replace(a.Key))
	for _, s := range secretNames {
		if strings.Contains(name, s) {
			return slog.String(a.Key, "[redacted]")
		}
	}
	return a
}

// contextHandler adds the ids of the context to a line, and flushes after a warning or an
// error.
type contextHandler struct {
	slog.Handler
	flush func()
	level *slog.LevelVar
	// w receives the lines. fields are the encoded common fields; nil for a handler with
	// further attributes.
	w      io.Writer
	fields []byte
}

func (h contextHandler) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r.AddAttrs(slog.String("requestId", id))
	}
	if id := TraceID(ctx); id != "" {
		r.AddAttrs(slog.String("traceId", id))
	}
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelWarn {
		h.flush()
	}
	return err
}

func (h contextHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return contextHandler{h.Handler.WithAttrs(attrs), h.flush, h.level, h.w, nil}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.flush, h.level, h.w, nil}
}
