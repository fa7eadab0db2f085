package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTaskRunsAtOnceAndThenAtItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := New(Options{Log: slog.New(slog.DiscardHandler)})
		var runs atomic.Int64
		p.Every(time.Hour, "purge", func(context.Context) error { runs.Add(1); return errors.New("no database") })
		for want := int64(1); want <= 3; want++ {
			synctest.Wait()
			if got := runs.Load(); got != want {
				t.Errorf("%d runs, want %d", got, want)
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
