package password_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/internal/failure"
)

func hasher(t *testing.T, concurrency int) *password.Hasher {
	t.Helper()
	h, err := password.NewHasher(password.MinCost, concurrency, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAHashMatchesItsPasswordAlone(t *testing.T) {
	t.Parallel()
	h := hasher(t, 1)
	slot, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	longest := strings.Repeat("x", password.MaxBytes)
	hash, err := slot.Hash(longest)
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]bool{longest: true, longest + "y": false, longest[1:]: false, "": false} {
		if got := slot.Matches(hash, given); got != want {
			t.Errorf("%d bytes match = %v, want %v", len(given), got, want)
		}
	}
	if slot.Matches(nil, longest) {
		t.Error("an unknown account has a password")
	}
	if _, err := slot.Hash(longest + "y"); err == nil {
		t.Error("a password over the limit was hashed")
	}
}

func TestAFullQueueIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	h := hasher(t, 1)
	slot, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const callers = 64
	refused := make(chan struct{}, callers)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			got, err := h.Acquire(ctx)
			if err == nil {
				got.Release()
				return
			}
			if failure.KindOf(err) != failure.KindUnavailable {
				t.Errorf("Acquire = %v", err)
			}
			refused <- struct{}{}
		})
	}
	for range callers - 32 {
		<-refused
	}
	slot.Release()
	wg.Wait()
	if len(refused) != 0 {
		t.Errorf("%d more than needed were refused", len(refused))
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	h := hasher(t, 1)
	slot, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Acquire(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire = %v", err)
	}
}

func TestNewPasswordsAreBoundedAndNotCommon(t *testing.T) {
	t.Parallel()
	for given, ok := range map[string]bool{
		"correct horse battery": true, "Tr0ub4dor&3x": true, "ünïcödé-wörd": true,
		strings.Repeat("ab!", 24)[:72]: false, // one piece again and again
		"kq8#Zp":                       false, strings.Repeat("kq8#Zp2!vu", 8)[:72] + "x": false,
		"password": false, "Password1!": false, "P@ssw0rd": false, "12345678": false, "QWERTYUIOP": false,
		"iloveyou2026": false, "aaaaaaaaaa": false, "abcabcabcabc": false, "admin12345": false,
	} {
		if reason := password.Check(given); (reason == "") != ok {
			t.Errorf("Check(%d bytes %.16q) = %q, want ok %v", len(given), given, reason, ok)
		}
	}
}
