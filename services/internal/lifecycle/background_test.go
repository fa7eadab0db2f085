package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

func TestTaskRunsAtOnceAndThenAtItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Log: slog.New(slog.DiscardHandler)})
		runs := 0
		p.Every(time.Hour, "purge", func(context.Context) error { runs++; return errors.New("no database") })
		for want := 1; want <= 3; want++ {
			synctest.Wait()
			if runs != want {
				t.Errorf("%d runs, want %d", runs, want)
			}
			time.Sleep(time.Hour) // in the time of the bubble
		}
		for _, s := range p.stops {
			if err := s.fn(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}
