// Package telemetry is what every program says about itself: one stream of JSON
// logs, one registry of metrics, and the request and trace ids that tie them to
// each other and to other programs.
package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"

	"ecommerce-stack.dev/services/internal/buildinfo"
)

// NewLogger writes JSON lines with the service, version and commit, and with the
// request and trace id that the context of a call carries. Attributes whose names
// say that they hold a secret are hidden, whoever logs them.
func NewLogger(w io.Writer, service string, level slog.Leveler) *slog.Logger {
	h := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: redact})
	flush := func() {}
	if b, ok := w.(*Buffer); ok {
		flush = b.Flush
	}
	of := []slog.Attr{slog.String("service", service), slog.String("version", buildinfo.Version), slog.String("commit", buildinfo.Commit)}
	var said []byte
	for _, a := range of {
		said = appendText(said, a.Key, a.Value.String())
	}
	return slog.New(contextHandler{h.WithAttrs(of), flush, w, said})
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

// contextHandler adds the ids that a context carries, and sees to it that what went
// wrong is written at once.
type contextHandler struct {
	slog.Handler
	flush func()
	// w and said are where lines go and what is in each; said is nil for a handler with
	// attributes of its own.
	w    io.Writer
	said []byte
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
	return contextHandler{h.Handler.WithAttrs(attrs), h.flush, h.w, nil}
}

func (h contextHandler) WithGroup(name string) slog.Handler {
	return contextHandler{h.Handler.WithGroup(name), h.flush, h.w, nil}
}
