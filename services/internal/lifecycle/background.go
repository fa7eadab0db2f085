package lifecycle

import (
	"context"
	"time"
)

// Background runs fn in a goroutine, with a context that ends when the stop functions run, after the
// requests in flight have finished. It registers a stop function that waits until fn returns.
func (p *Process) Background(name string, fn func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(ctx)
	}()
	p.OnStop(name, func(stopCtx context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stopCtx.Done():
			return stopCtx.Err()
		}
	})
}

// Every runs fn in the background, at once and then at an interval. It logs an error of fn and continues.
func (p *Process) Every(interval time.Duration, name string, fn func(context.Context) error) {
	p.Background(name, func(ctx context.Context) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			if err := fn(ctx); err != nil && ctx.Err() == nil {
				p.Log.WarnContext(ctx, "background task failed", "task", name, "error", err)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
}
