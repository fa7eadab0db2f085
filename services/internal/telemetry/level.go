package telemetry

import (
	"log/slog"
	"net/http"

	"ecommerce-stack.dev/services/loglevel"
)

// LevelHandler returns the handler that changes the level of a logger that NewLogger has made.
func LevelHandler(log *slog.Logger) http.Handler {
	level := new(slog.LevelVar) // of a logger that NewLogger did not make, which has none to change
	if h, ok := log.Handler().(contextHandler); ok {
		level = h.level
	}
	return loglevel.Handler(level, log)
}
