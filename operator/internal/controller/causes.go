package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// causes records the causes of failures that an Event has reported, so that each is reported
// once until the phase has succeeded. It is safe for concurrent use.
type causes struct {
	mu       sync.Mutex
	reported map[types.UID]map[cause]bool
}

// cause identifies the cause of a failure within a stack.
type cause struct {
	// condition is the condition that the cause makes False.
	condition string
	// key does not contain what differs between two attempts, such as a time or a port.
	key string
}

func newCauses() *causes { return &causes{reported: map[types.UID]map[cause]bool{}} }

// add records a cause and reports whether it is new.
func (c *causes) add(stack types.UID, added cause) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reported[stack][added] {
		return false
	}
	if c.reported[stack] == nil {
		c.reported[stack] = map[cause]bool{}
	}
	c.reported[stack][added] = true
	return true
}

// clear removes the causes of a condition that is True.
func (c *causes) clear(stack types.UID, condition string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for known := range c.reported[stack] {
		if known.condition == condition {
			delete(c.reported[stack], known)
		}
	}
}

// forget removes the causes of a stack.
func (c *causes) forget(stack types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.reported, stack)
}
