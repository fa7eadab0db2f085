package password_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

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

func TestHashMatchesOnlyItsPassword(t *testing.T) {
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
	for text, want := range map[string]bool{longest: true, longest + "y": false, longest[1:]: false, "": false} {
		if got := slot.Matches(hash, text); got != want {
			t.Errorf("%d bytes match = %v, want %v", len(text), got, want)
		}
	}
	if slot.Matches(nil, longest) {
		t.Error("a nil hash matches")
	}
	if _, err := slot.Hash(longest + "y"); err == nil {
		t.Error("a password over the limit was hashed")
	}
}

func TestPasswordIsComparedInNFC(t *testing.T) {
	t.Parallel()
	const composed, decomposed = "Ma\u00f1ana-Tr0ub4dor", "Man\u0303ana-Tr0ub4dor"
	slot, err := hasher(t, 1).Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer slot.Release()
	for _, registered := range []string{composed, decomposed} {
		hash, err := slot.Hash(registered)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{composed, decomposed} {
			if !slot.Matches(hash, text) || !slot.IsCurrent(hash, text) {
				t.Errorf("registered %+q: %+q does not match", registered, text)
			}
		}
	}
	old, err := bcrypt.GenerateFromPassword([]byte(decomposed), password.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if !slot.Matches(old, decomposed) || slot.IsCurrent(old, decomposed) {
		t.Error("a hash of a decomposed password from before does not match, or is not replaced")
	}
	// 36 letters of two bytes in NFC, and of three bytes without.
	if violation := password.Check(strings.Repeat("e\u0301a\u0301o\u0301", 12)); violation != "" {
		t.Errorf("72 bytes in NFC: %s", violation)
	}
}

func TestFullQueueRejectsImmediately(t *testing.T) {
	t.Parallel()
	h := hasher(t, 1)
	slot, err := h.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	const callers = 64
	rejected := make(chan struct{}, callers)
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
			rejected <- struct{}{}
		})
	}
	for range callers - 32 {
		<-rejected
	}
	slot.Release()
	wg.Wait()
	if len(rejected) != 0 {
		t.Errorf("%d more than expected were rejected", len(rejected))
	}
}

func TestAcquireReturnsWhenContextEnds(t *testing.T) {
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

func TestCheckRejectsInvalidAndCommonPasswords(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"correct horse battery": true, "Tr0ub4dor&3x": true, "ünïcödé-wörd": true,
		strings.Repeat("ab!", 24)[:72]: false, // a repetition
		"kq8#Zp":                       false, strings.Repeat("kq8#Zp2!vu", 8)[:72] + "x": false,
		"password": false, "Password1!": false, "P@ssw0rd": false, "12345678": false, "QWERTYUIOP": false,
		"iloveyou2026": false, "aaaaaaaaaa": false, "abcabcabcabc": false, "admin12345": false,
	} {
		if reason := password.Check(text); (reason == "") != ok {
			t.Errorf("Check(%d bytes %.16q) = %q, want ok %v", len(text), text, reason, ok)
		}
	}
}
