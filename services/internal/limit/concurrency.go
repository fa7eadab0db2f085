package limit

import "sync"

// Concurrency bounds how many requests of one key are in flight at once. It is safe for
// concurrent use.
type Concurrency struct {
	most     int
	mu       sync.Mutex
	inFlight map[Key]int
}

// NewConcurrency allows most requests of each key at once.
func NewConcurrency(most int) *Concurrency {
	return &Concurrency{most: most, inFlight: map[Key]int{}}
}

// Acquire reports whether one more request of k is allowed, and counts it until Release.
func (c *Concurrency) Acquire(k Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight[k] >= c.most {
		return false
	}
	c.inFlight[k]++
	return true
}

// Release ends a request that Acquire allowed.
func (c *Concurrency) Release(k Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight[k]--; c.inFlight[k] == 0 {
		delete(c.inFlight, k)
	}
}
