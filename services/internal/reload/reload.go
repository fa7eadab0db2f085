// Package reload reads files again when they change: keys, routes. It looks at
// intervals, for the way Kubernetes replaces a mounted Secret or ConfigMap (by
// renaming a symbolic link of a parent folder) is not seen by watching the file.
package reload

import (
	"context"
	"log/slog"
	"time"
)

// Interval between two looks: a change takes effect within two seconds.
const Interval = time.Second

// Watch calls read at every Interval until ctx ends. read says whether anything
// changed; when it fails, what was read before stays in use. what names it in logs,
// where each error is told once, not at every look.
func Watch(ctx context.Context, log *slog.Logger, what string, read func() (changed bool, err error)) {
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	var told string
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := read()
		switch {
		case err == nil:
			told = ""
			if changed {
				log.InfoContext(ctx, "read again", "what", what)
			}
		case err.Error() != told:
			told = err.Error()
			log.ErrorContext(ctx, "cannot be read again; what was read before stays in use", "what", what, "error", err)
		}
	}
}
