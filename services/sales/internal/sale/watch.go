package sale

import "sync"

// Watch tells those who wait for a sale that its timeline grew, as far as this
// process knows of it: another replica may have committed the change, so whoever
// waits also looks from time to time. The zero value is ready.
type Watch struct {
	mu       sync.Mutex
	watchers map[int64]map[chan struct{}]bool
}

// Changed wakes those who wait for a sale. It does not block.
func (w *Watch) Changed(saleID int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.watchers[saleID] {
		select {
		case c <- struct{}{}:
		default: // It is awake already.
		}
	}
}

// Subscribe returns a channel that gets a value after a change; stop ends that.
func (w *Watch) Subscribe(saleID int64) (changed <-chan struct{}, stop func()) {
	c := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watchers == nil {
		w.watchers = map[int64]map[chan struct{}]bool{}
	}
	if w.watchers[saleID] == nil {
		w.watchers[saleID] = map[chan struct{}]bool{}
	}
	w.watchers[saleID][c] = true
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers[saleID], c)
		if len(w.watchers[saleID]) == 0 {
			delete(w.watchers, saleID)
		}
	}
}
