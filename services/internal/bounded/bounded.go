// Package bounded has the caches of the services, which are bounded by the number or the weight of
// their entries.
package bounded

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// Options of a Cache.
type Options[V any] struct {
	// Max is the maximum number of entries, or the maximum of their weights if Weight is not nil.
	Max    uint64
	Weight func(key string, value V) uint32
	// TTL is the time after which a value is dropped; 0 is for never.
	TTL time.Duration
}

// Cache is a cache that is safe for concurrent use. It evicts entries that are rarely read.
//
// Its values are stored as any, so that otter is compiled once, with this package. With its own types each package that has a
// cache compiled otter again, which was a fifth of the time of a build after a change of a package below.
type Cache[V any] struct{ entries entries }

// entries is *otter.Cache. The type itself in a field of Cache would have it compiled again, too.
type entries interface {
	GetIfPresent(key string) (any, bool)
	Set(key string, value any) (previous any, replaced bool)
	Invalidate(key string) (previous any, removed bool)
	InvalidateAll()
	WeightedSize() uint64
}

// New returns a Cache. It panics if the options are not valid.
func New[V any](o Options[V]) Cache[V] {
	var weight func(string, any) uint32
	if o.Weight != nil {
		weight = func(key string, value any) uint32 {
			v, _ := value.(V)
			return o.Weight(key, v)
		}
	}
	return Cache[V]{newEntries(o.Max, weight, o.TTL)}
}

func newEntries(maximum uint64, weight func(string, any) uint32, ttl time.Duration) entries {
	o := otter.Options[string, any]{Weigher: weight}
	if weight != nil {
		o.MaximumWeight = maximum
	} else {
		o.MaximumSize = int(maximum)
	}
	if ttl > 0 {
		o.ExpiryCalculator = otter.ExpiryWriting[string, any](ttl)
	}
	return otter.Must(&o)
}

// Get returns the value of a key.
func (c Cache[V]) Get(key string) (value V, ok bool) {
	stored, ok := c.entries.GetIfPresent(key)
	if ok {
		value, ok = stored.(V)
	}
	return value, ok
}

// Set stores a value.
func (c Cache[V]) Set(key string, value V) { c.entries.Set(key, value) }

// Drop removes a key.
func (c Cache[V]) Drop(key string) { c.entries.Invalidate(key) }

// Clear removes all keys.
func (c Cache[V]) Clear() { c.entries.InvalidateAll() }

// Weight returns the sum of the weights, or 0 if the options have none.
func (c Cache[V]) Weight() uint64 { return c.entries.WeightedSize() }
