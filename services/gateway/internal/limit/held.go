package limit

import "sync"

// Held bounds how many calls of one caller are under way at once. It is safe for
// concurrent use.
type Held struct {
	most  int
	mu    sync.Mutex
	calls map[Key]int
}

// NewHeld lets each caller have most calls under way.
func NewHeld(most int) *Held { return &Held{most: most, calls: map[Key]int{}} }

// Take counts a call until release, unless the caller has too many already.
func (h *Held) Take(k Key) (release func(), ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[k] >= h.most {
		return nil, false
	}
	h.calls[k]++
	return func() { h.release(k) }, true
}

func (h *Held) release(k Key) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls[k]--; h.calls[k] == 0 {
		delete(h.calls, k)
	}
}
