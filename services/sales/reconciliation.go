package main

import (
	"context"
	"log/slog"

	"ecommerce-stack.dev/services/event"
)

// maxWaiting is the number of messages in the queue of stock above which no command is repeated: stock is behind or
// unavailable, so that commands wait there, and copies of them would only make it slower.
const maxWaiting = 1000

// reconciliation repeats the commands to which stock has not responded in time.
type reconciliation struct {
	// waiting returns the number of messages in the queue of stock.
	waiting func(ctx context.Context, queue string) (int, error)
	// repeat repeats a batch of commands, and returns their number by type.
	repeat func(context.Context) (map[string]int, error)
	record func(map[string]int)
	log    *slog.Logger
}

// run repeats all commands for which it is time.
func (r reconciliation) run(ctx context.Context) error {
	n, err := r.waiting(ctx, event.StockQueue)
	if err != nil {
		// Commands of a queue that is missing are to be repeated, too.
		r.log.DebugContext(ctx, "the number of messages that wait for stock is not known", "error", err)
	} else if n > maxWaiting {
		r.log.DebugContext(ctx, "no command is repeated, many wait for stock", "messages", n)
		return nil
	}
	for {
		repeated, err := r.repeat(ctx)
		if err != nil || len(repeated) == 0 {
			return err
		}
		r.record(repeated)
		r.log.WarnContext(ctx, "commands published again, stock has not responded", "events", repeated)
	}
}
