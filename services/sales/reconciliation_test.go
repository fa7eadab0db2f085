package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"ecommerce-stack.dev/services/event"
)

func TestCommandsAreNotRepeatedWhileManyWait(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		waiting int
		err     error
		want    int
	}{
		"empty queue":   {0, nil, 200},
		"most messages": {maxWaiting, nil, 200},
		"too many":      {maxWaiting + 1, nil, 0},
		"not known":     {0, errors.New("no queue"), 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			batches, repeated := 2, 0
			r := reconciliation{
				waiting: func(_ context.Context, queue string) (int, error) {
					if queue != event.StockQueue {
						t.Errorf("messages of %s are counted", queue)
					}
					return c.waiting, c.err
				},
				repeat: func(context.Context) (map[string]int, error) {
					if batches--; batches < 0 {
						return nil, nil
					}
					return map[string]int{event.SaleCreatedType: 100}, nil
				},
				record: func(n map[string]int) { repeated += n[event.SaleCreatedType] },
				log:    slog.New(slog.DiscardHandler),
			}
			if err := r.run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if repeated != c.want {
				t.Errorf("%d commands are repeated, want %d", repeated, c.want)
			}
		})
	}
}
