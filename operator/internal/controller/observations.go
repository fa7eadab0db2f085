package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// observations records when the state of external servers last matched the desired
// state. A reconciliation that a watch event starts can then skip MySQL and RabbitMQ
// until the resync interval has passed. It is safe for concurrent use.
type observations struct {
	mu   sync.Mutex
	last map[observationKey]observation
}

type observationKey struct {
	stack types.UID
	phase string
}

type observation struct {
	desiredHash string
	expires     time.Time
}

func newObservations() *observations {
	return &observations{last: map[observationKey]observation{}}
}

// isCurrent reports whether the phase was observed in the desired state with the given
// hash, and that observation has not expired.
func (o *observations) isCurrent(stack types.UID, phase, desiredHash string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	last, found := o.last[observationKey{stack, phase}]
	return found && last.desiredHash == desiredHash && time.Now().Before(last.expires)
}

// record stores that the phase is in the desired state with the given hash. The
// observation expires after ttl.
func (o *observations) record(stack types.UID, phase, desiredHash string, ttl time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last[observationKey{stack, phase}] = observation{desiredHash, time.Now().Add(ttl)}
}

// expire removes the observation of a phase.
func (o *observations) expire(stack types.UID, phase string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.last, observationKey{stack, phase})
}

// forget removes the observations of a stack.
func (o *observations) forget(stack types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.last {
		if key.stack == stack {
			delete(o.last, key)
		}
	}
}

// hashJSON returns a hash of the JSON encoding of parts. Parts may contain credentials,
// which cannot be recovered from the hash.
func hashJSON(parts ...any) (string, error) {
	encoded, err := json.Marshal(parts)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(encoded)
	return hex.EncodeToString(sum[:16]), nil
}
