package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// checks remembers when external state was last found as it should be, so that a pass
// that a watch started does not ask MySQL and RabbitMQ again before it is time.
type checks struct {
	mu   sync.Mutex
	last map[checkKey]check
}

type checkKey struct {
	stack types.UID
	phase string
}

type check struct {
	// fingerprint of what was asked for.
	fingerprint string
	due         time.Time
}

func newChecks() *checks { return &checks{last: map[checkKey]check{}} }

// fresh says whether the same was asked for and found, and is not due again.
func (c *checks) fresh(stack types.UID, phase, fingerprint string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, found := c.last[checkKey{stack, phase}]
	return found && last.fingerprint == fingerprint && time.Now().Before(last.due)
}

func (c *checks) passed(stack types.UID, phase, fingerprint string, interval time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[checkKey{stack, phase}] = check{fingerprint, time.Now().Add(interval)}
}

func (c *checks) forget(stack types.UID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.last {
		if key.stack == stack {
			delete(c.last, key)
		}
	}
}

// fingerprint of anything that JSON can hold. Secrets in it cannot be read back.
func fingerprint(parts ...any) (string, error) {
	encoded, err := json.Marshal(parts)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16]), nil
}
