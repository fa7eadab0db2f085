package testenv

import (
	"testing"
	"time"
)

// Limits of Eventually: a condition that holds soon is found soon, and a slow machine does
// not fail a test. The longest wait of a test is that for a repeated command of sales: up to
// the age of the sale, which is a minute where every step of the test takes long.
const (
	eventuallyTimeout  = 2 * time.Minute
	eventuallyInterval = 5 * time.Millisecond
)

// Eventually waits until holds returns true, and fails the test after 2 minutes. what says which
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
