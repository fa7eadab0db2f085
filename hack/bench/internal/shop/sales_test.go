package shop

import (
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/saga"
)

func TestBacklogLimitsPendingSales(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, began := &backlog{}, time.Now()
		b.pending.Store(saga.Window)
		time.AfterFunc(time.Second, func() { b.pending.Store(saga.Window - 1) })
		if err := b.wait(t.Context()); err != nil || time.Since(began) < time.Second {
			t.Errorf("waited %s, %v; want a second, until fewer sales are pending", time.Since(began), err)
		}
	})
}
