package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// maxDeferred is the maximum number of messages that a consumer defers. At the limit it waits,
// so that the messages that it has not acknowledged are bounded. Two replicas reach it in 25 s when each second brings
// 160 events that need a locked row, and the database ends the session of a client that has vanished before that.
const maxDeferred = 2048

// Limits of the time between two attempts to handle the deferred messages.
const (
	minDeferral = 100 * time.Millisecond
	maxDeferral = 2 * time.Second
)

// deferral holds the messages of a session that conflicted with other transactions. They stay
// unacknowledged: a message that is returned to its queue is delivered again at once, and
// counts for the delivery limit. Its methods may be called concurrently.
type deferral struct {
	mu       sync.Mutex
	tags     map[uint64]bool   // of all that are not handled yet, also while they are retried
	effects  map[effect]uint64 // their tags
	waiting  []parsedDelivery
	added    chan struct{} // has an element after add
	capacity chan struct{} // has an element after remove
}

// effect identifies what an event does, see Settings.IsConflict.
type effect struct{ name, subject string }

func effectOf(p parsedDelivery) effect { return effect{p.envelope.Type, p.envelope.Subject} }

func newDeferral() *deferral {
	return &deferral{tags: map[uint64]bool{}, effects: map[effect]uint64{}, added: make(chan struct{}, 1), capacity: make(chan struct{}, 1)}
}

// notify adds an element to a channel unless it has one.
func notify(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (d *deferral) outstanding() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.tags)
}

// add defers a message, possibly again. isNew is false for one that was deferred before, and isCopy is true for a
// copy of another one that is deferred, which is not added.
func (d *deferral) add(p parsedDelivery) (isNew, isCopy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tag := p.delivery.DeliveryTag
	if other, ok := d.effects[effectOf(p)]; ok && other != tag {
		return false, true
	}
	isNew = !d.tags[tag]
	d.tags[tag], d.effects[effectOf(p)] = true, tag
	d.waiting = append(d.waiting, p)
	notify(d.added)
	return isNew, false
}

// remove removes messages that are handled or rejected.
func (d *deferral) remove(batch ...parsedDelivery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range batch {
		tag := p.delivery.DeliveryTag
		delete(d.tags, tag)
		if d.effects[effectOf(p)] == tag {
			delete(d.effects, effectOf(p))
		}
	}
	notify(d.capacity)
}

// take returns the messages to retry.
func (d *deferral) take() []parsedDelivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.waiting
	d.waiting = nil
	return taken
}

// hasHandled reports whether any of the messages is not deferred any more.
func (d *deferral) hasHandled(batch []parsedDelivery) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(batch, func(p parsedDelivery) bool { return !d.tags[p.delivery.DeliveryTag] })
}

// waitForCapacity waits while too many messages are deferred. It reports false when ctx is done
// before.
func (d *deferral) waitForCapacity(ctx context.Context) bool {
	for d.outstanding() >= maxDeferred {
		select {
		case <-ctx.Done():
			return false
		case <-d.capacity:
		}
	}
	return true
}

// acknowledge acknowledges a batch that is handled. With deferred messages it acknowledges each
// delivery; otherwise all up to the last of the batch, because those before are acknowledged
// or rejected already.
func (d *deferral) acknowledge(batch []parsedDelivery) error {
	defer d.remove(batch...)
	if d.outstanding() == 0 {
		return ack(batch[len(batch)-1].delivery, true)
	}
	for _, p := range batch {
		if err := ack(p.delivery, false); err != nil {
			return err
		}
	}
	return nil
}

func ack(delivery amqp.Delivery, multiple bool) error {
	if err := delivery.Ack(multiple); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// retryDeferred handles deferred messages again, until ctx is done or the connection is lost.
// It is concurrent with the session, whose messages do not wait for these. It waits for locked rows, or messages of a
// popular product, whose row is locked most of the time, would be overtaken by new ones again and again.
func (c *Consumer) retryDeferred(ctx context.Context, d *deferral) {
	backoff := newBackoff(minDeferral, maxDeferral)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.added:
		}
		wait, _ := backoff.Next()
		if !sleep(ctx, wait) {
			return
		}
		taken := d.take()
		await := true // once, and not for each part: most of them need the same row
		for batch := range slices.Chunk(taken, c.settings.MaxBatch) {
			free, err := c.postponeLocked(ctx, batch, d, await)
			await = false
			if err == nil {
				err = c.handle(ctx, free, d)
			}
			if err != nil {
				return // The session notices the lost connection.
			}
		}
		if d.hasHandled(taken) {
			backoff = newBackoff(minDeferral, maxDeferral)
		}
	}
}
