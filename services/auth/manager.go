package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/server"
)

const (
	// initialTimeout bounds how long the start of the process waits for the account.
	initialTimeout = 10 * time.Second
	// retryInterval is the time between attempts while the database is unavailable.
	retryInterval = time.Second
	// maxRequest bounds MANAGER_RESTORE in bytes.
	maxRequest = 64
)

// restorationPattern is the route at the metrics address by which the operator knows that a request
// is fulfilled.
const restorationPattern = "GET /manager-restoration"

// restoration is the state of MANAGER_RESTORE.
type restoration struct {
	request string
	done    atomic.Bool
}

// ServeHTTP responds with the request if it is fulfilled: {"restored":"..."}.
func (r *restoration) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	report := struct {
		Restored string `json:"restored"`
	}{}
	if r.done.Load() {
		report.Restored = r.request
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(report) // The client may be gone.
}

// ensureManager calls ensure, which creates or restores the first Manager, before the first request is
// accepted. While the database is unavailable it continues in the background; any other error is
// caused by the settings, and is returned. It returns nil when ctx ends.
func ensureManager(ctx context.Context, srv *server.Server, log *slog.Logger, ensure func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, initialTimeout)
	defer cancel()
	err := ensure(limited)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if !isTransient(err) {
		return fmt.Errorf("create or restore the account of MANAGER_EMAIL: %w", err)
	}
	log.WarnContext(ctx, "creating the first manager failed, retrying", "error", err)
	srv.Background("first manager", func(ctx context.Context) {
		tick := time.NewTicker(retryInterval)
		defer tick.Stop()
		for err := err; err != nil; err = ensure(ctx) {
			if ctx.Err() != nil {
				return
			}
			if !isTransient(err) {
				log.ErrorContext(ctx, "creating the first manager failed", "error", err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return nil
}

// isTransient reports whether the attempt may succeed later.
func isTransient(err error) bool {
	return failure.KindOf(err) == failure.KindUnavailable || errors.Is(err, context.DeadlineExceeded)
}
