package limit

import "testing"

func TestConcurrencyBoundsEachKey(t *testing.T) {
	t.Parallel()
	c := NewConcurrency(2)
	ann, bob := Key{User: 7}, Key{User: 8}
	for range 2 {
		if !c.Acquire(ann) {
			t.Fatal("one of two requests was refused")
		}
	}
	if c.Acquire(ann) {
		t.Error("a third request was allowed, want 2 at once")
	}
	if !c.Acquire(bob) {
		t.Error("another key was refused")
	}
	c.Release(ann)
	if !c.Acquire(ann) {
		t.Error("after one ended, the next was refused")
	}
	c.Release(ann)
	if n := c.inFlight[ann]; n != 1 {
		t.Errorf("%d requests are counted, want 1", n)
	}
}

func TestConcurrencyRemovesKeysWithoutRequests(t *testing.T) {
	t.Parallel()
	c := NewConcurrency(1)
	for user := range int64(100) {
		if !c.Acquire(Key{User: user}) {
			t.Fatalf("user %d was refused", user)
		}
		c.Release(Key{User: user})
	}
	if len(c.inFlight) != 0 {
		t.Errorf("%d keys are remembered, want none", len(c.inFlight))
	}
}
