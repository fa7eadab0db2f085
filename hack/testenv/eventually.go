package testenv

import (
	"testing"
	"time"
)

// Limits of Eventually: a condition that holds soon is found soon, and a slow machine does
// not fail a test.
const (
	eventuallyTimeout  = 30 * time.Second
	eventuallyInterval = 5 * time.Millisecond
)

// Eventually waits until holds returns true, and fails the test after 30 s. what says which
// condition did not hold.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	timeout := time.After(eventuallyTimeout)
	interval := time.NewTicker(eventuallyInterval)
	defer interval.Stop()
	for !holds() {
		select {
		case <-timeout:
			t.Fatalf("not within %s: %s", eventuallyTimeout, what)
		case <-interval.C:
		}
	}
}
