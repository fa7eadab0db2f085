//go:build !race

// The race detector allocates, too.

package groupcommit_test

import (
	"context"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/groupcommit"
)

// workBudget is the allocation budget of a batch of one, which is the most expensive per
// work: its entry, its channel and the goroutine of its transaction.
const workBudget = 11

func newCommitter() *groupcommit.Committer[int] {
	return groupcommit.New(groupcommit.Settings[int]{Commit: func(context.Context, []int) error { return nil },
		ShouldIsolate: func(error) bool { return true }, InFlight: 2, MaxBatch: 128, Timeout: time.Minute})
}

// TestWorkAllocations is not parallel, because the allocations of other tests would be counted.
func TestWorkAllocations(t *testing.T) { //nolint:paralleltest // see above
	c := newCommitter()
	if got := testing.AllocsPerRun(500, func() { _ = c.Do(t.Context(), 1) }); got > workBudget {
		t.Errorf("%.0f allocations, the budget is %d", got, workBudget)
	}
}

func BenchmarkDo(b *testing.B) {
	c := newCommitter()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = c.Do(context.Background(), 1)
		}
	})
}
