package edge

import (
	"context"
	"fmt"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/revision"
)

// Twin returns the target at the gateway of a revision. ok is false if the target is not
// one of the gateway.
func (t Target) Twin(r *revision.Revision) (twin Target, ok bool) {
	if t.peer != (gateway{}).name() {
		return Target{}, false
	}
	t.Title, t.peer = measure.Twin(t.Title, r.Commit), gateway{r}.name()
	t.about += ", as built from " + r.Commit
	return t, true
}

// startTwins starts the gateway of a revision and checks its targets.
func (e *Edge) startTwins(ctx context.Context, r *revision.Revision) error {
	if err := e.start(ctx, gateway{r}); err != nil {
		return fmt.Errorf("%s: %w", gateway{r}.name(), err)
	}
	for _, t := range Targets() {
		twin, ok := t.Twin(r)
		if !ok {
			continue
		}
		if err := e.awaitReady(ctx, twin); err != nil {
			return err
		}
	}
	return nil
}
