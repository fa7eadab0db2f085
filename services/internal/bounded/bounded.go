// Package bounded has the caches of the services, which are bounded by the number or the weight of
// their entries.
package bounded

import "github.com/maypok86/otter/v2"

// Cache is a cache that is safe for concurrent use. It evicts entries that are rarely read.
//
// It is an interface so that the code of otter is compiled with the package that calls New. A
// struct with a field of type *otter.Cache would have it compiled again with each package that
// uses the struct, which was half of the time of incremental builds.
type Cache[K comparable, V any] interface {
	GetIfPresent(K) (V, bool)
	Set(K, V) (previous V, replaced bool)
	Invalidate(K) (previous V, removed bool)
	InvalidateAll()
	// WeightedSize returns the number of entries, or their weight if the options have a Weigher.
	WeightedSize() uint64
}

// New returns a Cache. It panics if the options are not valid.
func New[K comparable, V any](o otter.Options[K, V]) Cache[K, V] { return otter.Must(&o) }
