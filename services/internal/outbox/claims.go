package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/database"
)

// claims are the events that the dispatcher holds in memory, with the times at which their claims
// end. These are not later than those by the clock of the database, because they count from
// before the statement. The zero value holds none.
type claims struct {
	mu    sync.Mutex
	until map[uuid.UUID]time.Time
}

func (c *claims) add(messages []broker.Message, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil {
		c.until = map[uuid.UUID]time.Time{}
	}
	for _, m := range messages {
		c.until[m.ID] = until
	}
}

func (c *claims) release(messages ...broker.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		delete(c.until, m.ID)
	}
}

// owns reports whether the claim of an event lasts longer than margin.
func (c *claims) owns(m broker.Message, margin time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Until(c.until[m.ID]) > margin
}

// ending returns the ids of the events whose claims last, but not longer than margin.
func (c *claims) ending(margin time.Duration) []uuid.UUID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []uuid.UUID
	for id, until := range c.until {
		if left := time.Until(until); left > 0 && left <= margin {
			ids = append(ids, id)
		}
	}
	return ids
}

// extend sets the end of claims that are not released yet.
func (c *claims) extend(ids []uuid.UUID, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if _, held := c.until[id]; held {
			c.until[id] = until
		}
	}
}

// renew renews the claims of events that the dispatcher holds for long, because the broker is
// slow.
func (o *Outbox) renew(ctx context.Context) error {
	for ids := range slices.Chunk(o.claims.ending(o.claim*3/5), broker.MaxBatch) {
		values := make([]database.Binary, len(ids))
		for i, id := range ids {
			values[i] = id[:]
		}
		began := time.Now()
		if err := o.db.WithContext(ctx).Exec("UPDATE outbox SET claimed_at = NOW(6) WHERE event_id IN ?", values).Error; err != nil {
			return fmt.Errorf("renew the claims of %d events: %w", len(ids), err)
		}
		o.claims.extend(ids, began.Add(o.claim))
	}
	return nil
}
