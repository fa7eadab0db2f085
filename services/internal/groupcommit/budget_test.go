//go:build !race

// The race detector allocates, too.

package groupcommit_test

import (
	"context"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/groupcommit"
)

// workBudget is what gathering one piece of work may allocate when it comes alone, which
// is the dearest: its entry, its channel, the goroutine of its transaction.
const workBudget = 11

func nothing() *groupcommit.Committer[int] {
	return groupcommit.New(groupcommit.Settings[int]{Commit: func(context.Context, []int) error { return nil },
		Alone: func(error) bool { return true }, InFlight: 2, Most: 128, Timeout: time.Minute})
}

// TestWorkStaysWithinItsBudget is not parallel: what other tests allocate would count.
func TestWorkStaysWithinItsBudget(t *testing.T) { //nolint:paralleltest // see above
	c := nothing()
	if got := testing.AllocsPerRun(500, func() { _ = c.Do(t.Context(), 1) }); got > workBudget {
		t.Errorf("%.0f allocations, the budget is %d", got, workBudget)
	}
}

func BenchmarkDo(b *testing.B) {
	c := nothing()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = c.Do(context.Background(), 1)
		}
	})
}
