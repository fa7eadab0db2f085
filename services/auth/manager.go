package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/server"
)

const (
	// firstTry bounds how long the start waits for the first Manager's account.
	firstTry = 10 * time.Second
	// tryAgain is the pause between tries while the database is away.
	tryAgain = time.Second
)

// ensureManager makes the first Manager before the first request is taken. While the
// database is away it goes on beside the requests; any other error is one of the
// settings and ends the start. When ctx ends it gives up without an error: a stop is
// no failure.
func ensureManager(ctx context.Context, srv *server.Server, log *slog.Logger, ensure func(context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	err := ensure(limited)
	if err == nil || ctx.Err() != nil {
		return nil
	}
	if !passing(err) {
		return fmt.Errorf("make the account of MANAGER_EMAIL: %w", err)
	}
	log.WarnContext(ctx, "the first manager's account is not made yet", "error", err)
	srv.Background("first manager", func(ctx context.Context) {
		tick := time.NewTicker(tryAgain)
		defer tick.Stop()
		for err := err; err != nil; err = ensure(ctx) {
			if ctx.Err() != nil {
				return
			}
			if !passing(err) {
				log.ErrorContext(ctx, "the first manager's account cannot be made", "error", err)
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

func passing(err error) bool {
	return failure.KindOf(err) == failure.KindUnavailable || errors.Is(err, context.DeadlineExceeded)
}
