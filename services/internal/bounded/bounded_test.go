package bounded_test

import (
	"fmt"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/bounded"
)

func TestCacheKeepsItsLimit(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]bounded.Options[int]{
		"entries": {Max: 10},
		"weight":  {Max: 100, Weight: func(key string, value int) uint32 { return uint32(len(key) + value) }}, // 10 each
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := bounded.New(o)
			for i := range 1000 {
				c.Set(fmt.Sprintf("%03d", i), 7)
			}
			cached := func() (n int) {
				for i := range 1000 {
					if _, ok := c.Get(fmt.Sprintf("%03d", i)); ok {
						n++
					}
				}
				return n
			}
			testenv.Eventually(t, "10 of 1,000 entries are cached", func() bool { return cached() == 10 })
			if want := uint64(100); o.Weight != nil && c.Weight() != want {
				t.Errorf("the weight is %d, want %d", c.Weight(), want)
			}
		})
	}
}

func TestValuesAreDropped(t *testing.T) {
	t.Parallel()
	c := bounded.New(bounded.Options[string]{Max: 10})
	check := func(want string) {
		t.Helper()
		a, _ := c.Get("a")
		b, ok := c.Get("b")
		if got := a + b; got != want || ok != (b != "") {
			t.Errorf("cached %q, %t; want %q", got, ok, want)
		}
	}
	c.Set("a", "x")
	c.Set("b", "y")
	check("xy")
	c.Drop("a")
	check("y")
	c.Clear()
	check("")
	short := bounded.New(bounded.Options[string]{Max: 10, TTL: 20 * time.Millisecond})
	short.Set("a", "x")
	testenv.Eventually(t, "a value is dropped after its time", func() bool { _, ok := short.Get("a"); return !ok })
}
