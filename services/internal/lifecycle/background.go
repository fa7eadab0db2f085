package lifecycle

import (
	"context"
	"time"
)

// Background runs fn beside the requests, with a context that ends when no request
// is in flight any more. The stop then waits for it, in the order of registration
// among the stop functions.
func (p *Process) Background(name string, fn func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(ctx)
	}()
	p.OnStop(name, func(stopping context.Context) error {
		cancel()
		select {
		case <-done:
			return nil
		case <-stopping.Done():
			return stopping.Err()
		}
	})
}

// Every runs fn at an interval, like Background. An error is logged, and the next
// run comes as usual.
func (p *Process) Every(interval time.Duration, name string, fn func(context.Context) error) {
	p.Background(name, func(ctx context.Context) {
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := fn(ctx); err != nil && ctx.Err() == nil {
					p.Log.WarnContext(ctx, "background work failed, trying again", "work", name, "error", err)
				}
			}
		}
	})
}
