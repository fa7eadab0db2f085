package measure

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/progress"
)

// fakes returns measurements with the names, of which bad/one fails.
func fakes(names ...string) []Measurement {
	var all []Measurement
	for _, name := range names {
		all = append(all, Measurement{Name: name, Measure: func(context.Context, time.Duration) ([]Figure, error) {
			if name == "bad/one" {
				return nil, errors.New("broken")
			}
			return []Figure{{Name: "n"}}, nil
		}})
	}
	return all
}

// newPrinter returns a printer that discards its output.
func newPrinter(t *testing.T) *progress.Printer {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = null.Close() })
	return progress.New(null)
}

func TestRunAlternatesOrder(t *testing.T) {
	samples, err := Run(t.Context(), newPrinter(t), 3, 0, fakes("a/1", "b/2", "c/3"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, s := range samples {
		if want := i/3 + 1; s.Round != want {
			t.Errorf("sample %d is of round %d, want %d", i, s.Round, want)
		}
		got = append(got, s.Measurement)
	}
	want := []string{"a/1", "b/2", "c/3", "c/3", "b/2", "a/1", "a/1", "b/2", "c/3"}
	if !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
}

func TestRunReturnsSamplesBeforeFailure(t *testing.T) {
	samples, err := Run(t.Context(), newPrinter(t), 2, 0, fakes("a/1", "bad/one", "c/3"))
	if err == nil || len(samples) != 1 {
		t.Errorf("%d samples and %v, want the first sample and an error", len(samples), err)
	}
}

func TestSelect(t *testing.T) {
	all := fakes("saga/each", "saga/together", "http/gateway", "http/gateway@abc1234", "http/nginx")
	for _, c := range []struct {
		patterns, want []string
	}{
		{nil, Names(all)},
		{[]string{"gateway"}, []string{"http/gateway", "http/gateway@abc1234"}},
		{[]string{"nginx", "saga/"}, []string{"saga/each", "saga/together", "http/nginx"}},
		{[]string{"http/*ay"}, []string{"http/gateway", "http/gateway@abc1234"}},
		{[]string{"*/each"}, []string{"saga/each"}},
		{[]string{"saga", "each"}, []string{"saga/each", "saga/together"}},
	} {
		got, err := Select(all, c.patterns)
		if err != nil || !slices.Equal(Names(got), c.want) {
			t.Errorf("%v selects %v, %v; want %v", c.patterns, Names(got), err, c.want)
		}
	}
	if _, err := Select(all, []string{"nothing"}); err == nil {
		t.Error("a pattern without a match is accepted, want an error")
	}
}
