//go:build !race

// The race detector allocates, too.

package limit_test

import (
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/limit"
)

// TestAllowDoesNotAllocate is not parallel: what other tests allocate would count.
func TestAllowDoesNotAllocate(t *testing.T) { //nolint:paralleltest // see above
	l := limit.New(1e6, time.Second, 1e6)
	if got := testing.AllocsPerRun(500, func() { l.Allow(limit.Key{User: 7}) }); got > 0 {
		t.Errorf("%.0f allocations, want none", got)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := limit.New(1e9, time.Second, 1e6)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for n := int64(0); pb.Next(); n++ {
			l.Allow(limit.Key{User: n % 1000})
		}
	})
}
