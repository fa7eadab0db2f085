// Package loglevel implements the change of a program's log level while it runs. The services
// and the operator share it.
package loglevel

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
)

// Path is where programs serve the handler, at the port of their metrics.
const Path = "/log-level"

// maxLevel bounds the body of a request in bytes.
const maxLevel = 16

// Handler returns a handler that responds to GET with a level, and to PUT sets it to that of the
// body: debug, info, warn or error. It logs changes. The level lasts until the process ends. Only
// a client on the loopback interface may set it, such as one of `kubectl port-forward`, because
// the port of the metrics has no authentication.
func Handler(level *slog.LevelVar, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodPut:
			wanted, status, err := levelOf(r)
			if err != nil {
				http.Error(w, err.Error(), status)
				return
			}
			before := level.Level()
			level.Set(wanted)
			log.WarnContext(r.Context(), "log level changed", "from", name(before), "to", name(wanted))
		default:
			w.Header().Set("Allow", "GET, HEAD, PUT")
			http.Error(w, "Method not allowed. Allowed: GET, HEAD, PUT.", http.StatusMethodNotAllowed)
			return
		}
		_, _ = fmt.Fprintln(w, name(level.Level())) // The client may be gone.
	})
}

func levelOf(r *http.Request) (level slog.Level, status int, err error) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !from.Addr().Unmap().IsLoopback() {
		return 0, http.StatusForbidden, fmt.Errorf("the level can be set only from the loopback interface, for example through kubectl port-forward")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLevel))
	if err != nil {
		return 0, http.StatusBadRequest, fmt.Errorf("read the level: %w", err)
	}
	switch text := strings.TrimSpace(string(body)); text {
	case "debug", "info", "warn", "error":
		return level, 0, level.UnmarshalText([]byte(text))
	default:
		return 0, http.StatusBadRequest, fmt.Errorf("the level %q is not debug, info, warn or error", text)
	}
}

// name returns a level as the setting LOG_LEVEL has it.
func name(level slog.Level) string { return strings.ToLower(level.String()) }
