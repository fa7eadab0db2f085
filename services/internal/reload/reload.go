// Package reload reads files again when they change: keys, routes, certificates. It polls,
// because Kubernetes replaces a mounted Secret or ConfigMap by renaming a symbolic link of
// a parent folder, which a watch of the file does not notice.
package reload

import (
	"context"
	"log/slog"
	"time"
)

// Interval of the polls. A change takes effect within two seconds.
const Interval = time.Second

// Watch calls read at every Interval until ctx ends. read reports whether the content
// changed; if it fails, the previous content stays in use. what names the content in logs.
// An error that repeats is logged once.
func Watch(ctx context.Context, log *slog.Logger, what string, read func() (changed bool, err error)) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	var logged string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := read()
		switch {
		case err == nil:
			logged = ""
			if changed {
				log.InfoContext(ctx, "reloaded", "what", what)
			}
		case err.Error() != logged:
			logged = err.Error()
			log.ErrorContext(ctx, "reload failed; the previous content stays in use", "what", what, "error", err)
		}
	}
}
