package limit

import "testing"

func TestEachCallerHoldsSoManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	h := NewHeld(2)
	ann, bob := Key{User: 7}, Key{User: 8}
	first, ok := h.Take(ann)
	if !ok {
		t.Fatal("the first call was refused")
	}
	second, ok := h.Take(ann)
	if !ok {
		t.Fatal("the second call was refused")
	}
	if _, ok := h.Take(ann); ok {
		t.Error("a third call was let through, want 2 at once")
	}
	if _, ok := h.Take(bob); !ok {
		t.Error("another caller was refused")
	}
	first()
	if _, ok := h.Take(ann); !ok {
		t.Error("after one ended, the next was refused")
	}
	second()
	if n := h.calls[ann]; n != 1 {
		t.Errorf("%d calls are counted, want 1", n)
	}
}

func TestCallersWithoutCallsAreForgotten(t *testing.T) {
	t.Parallel()
	h := NewHeld(1)
	for user := range int64(100) {
		release, ok := h.Take(Key{User: user})
		if !ok {
			t.Fatalf("user %d was refused", user)
		}
		release()
	}
	if len(h.calls) != 0 {
		t.Errorf("%d callers are kept, want none", len(h.calls))
	}
}
