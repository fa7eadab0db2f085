package failure_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/failure"
)

func TestWrappedErrorMatchesItsSentinel(t *testing.T) {
	t.Parallel()
	sentinel := failure.Conflict("sale_not_pending", "The sale is not pending.")
	err := fmt.Errorf("cancel sale 7: %w", sentinel.With("status", "Confirmed"))
	if !errors.Is(err, sentinel) {
		t.Error("errors.Is does not find the sentinel")
	}
	if errors.Is(err, failure.NotFound("sale_not_pending", "")) {
		t.Error("an error of another kind matches")
	}
	if got := failure.KindOf(err); got != failure.KindConflict {
		t.Errorf("KindOf = %v, want KindConflict", got)
	}
	if sentinel.Extra != nil {
		t.Error("With changed the sentinel")
	}
}

func TestUnclassifiedErrorIsInternal(t *testing.T) {
	t.Parallel()
	if got := failure.KindOf(errors.New("boom")); got != failure.KindInternal {
		t.Errorf("KindOf = %v, want KindInternal", got)
	}
}

func TestUnavailableWrapsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection refused")
	if err := failure.Unavailable(time.Second, cause); !errors.Is(err, cause) {
		t.Errorf("%v does not wrap its cause", err)
	}
}
