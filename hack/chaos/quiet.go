package main

import (
	"context"
	"fmt"
	"time"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/services/event"
)

// waitUntilQuiet waits until every sale is decided and acknowledged by stock, the outboxes and
// queues are empty, and poison messages are dead letters. It returns what is not within the limit.
func (r *round) waitUntilQuiet(ctx context.Context, limit time.Duration) ([]violation, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	quiet, read := 0, false
	var rest []violation
	for {
		now, err := r.unsettled(ctx)
		if err == nil {
			rest, read = now, true
			if quiet++; len(now) > 0 {
				quiet = 0
			}
		}
		// The broker updates its numbers once a second.
		if time.Duration(quiet)*pollInterval > 2*time.Second {
			return nil, nil
		}
		if !sleep(ctx, pollInterval) {
			if !read {
				return nil, fmt.Errorf("wait until the store is quiet: %w", ctx.Err())
			}
			return rest, nil
		}
	}
}

// unsettled returns what is still to happen.
func (r *round) unsettled(ctx context.Context) ([]violation, error) {
	var found []violation
	for _, q := range []struct {
		invariant  int
		text, from string
	}{
		{3, "sales are Pending", salesSchema + ".sales WHERE status = 'Pending'"},
		{3, "sales have no response of stock to their last command", salesSchema + ".sales WHERE repeat_at IS NOT NULL AND status <> 'Pending'"},
		{6, "events are in the outbox of sales", salesSchema + ".outbox"},
		{6, "events are in the outbox of stock", stockSchema + ".outbox"},
	} {
		var n int
		if err := r.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+q.from).Scan(&n); err != nil {
			return nil, err
		}
		if n > 0 {
			found = append(found, violation{Invariant: q.invariant, Text: fmt.Sprintf("%d %s", n, q.text)})
		}
	}
	management, err := r.management()
	if err != nil {
		return nil, err
	}
	for _, q := range event.Queues {
		for _, name := range []string{q.Name, q.DeadLetterQueue()} {
			queue, err := management.GetQueue(local.VHost, name)
			if err != nil {
				return nil, err
			}
			if queue.Messages > 0 {
				found = append(found, violation{Invariant: 6, Text: fmt.Sprintf("%d messages are in the queue %s", queue.Messages, name)})
			}
		}
	}
	stored, err := r.deadLetters(ctx)
	if err != nil {
		return nil, err
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	for id, required := range r.store.poison {
		if required && stored[id] == "" {
			found = append(found, violation{Invariant: 6, Text: "message " + id + " did not become a dead letter"})
		}
	}
	return found, nil
}

// deadLetters returns descriptions of the stored dead letters by the ids of their messages.
func (r *round) deadLetters(ctx context.Context) (map[string]string, error) {
	rows, err := r.db.QueryContext(ctx, "SELECT message_id, CONCAT(queue, ' ', type, ' ', correlation, ': ', reason) FROM "+salesSchema+".dead_letters")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[string]string{}
	for rows.Next() {
		var id, text string
		if err := rows.Scan(&id, &text); err != nil {
			return nil, err
		}
		stored[id] = text
	}
	return stored, rows.Err()
}
