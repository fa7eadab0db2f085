package http1_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/http1"
)

var errSlow = errors.New("too slow")

func TestALateContextIsLikeAnyOther(t *testing.T) {
	t.Parallel()
	type key struct{}
	for name, watched := range map[string]bool{"watched from the beginning": true, "asked at the end": false} {
		synctest.Test(t, func(t *testing.T) {
			parent, leave := context.WithCancelCause(context.WithValue(t.Context(), key{}, 7))
			begin := func(d time.Duration) (context.Context, context.CancelFunc) {
				ctx, cancel := http1.WithTimeout(parent, d, errSlow)
				if watched {
					ctx.Done()
				}
				if ctx.Err() != nil || ctx.Value(key{}) != 7 {
					t.Errorf("%s: %v with value %v at the beginning", name, ctx.Err(), ctx.Value(key{}))
				}
				return ctx, cancel
			}
			over := func(what string, ctx context.Context, err, cause error) {
				synctest.Wait()
				if !errors.Is(ctx.Err(), err) || !errors.Is(context.Cause(ctx), cause) {
					t.Errorf("%s, %s: %v because of %v, want %v because of %v", name, what, ctx.Err(), context.Cause(ctx), err, cause)
				}
				<-ctx.Done()
			}
			ctx, cancel := begin(time.Second)
			time.Sleep(time.Second) // of the test's own clock
			over("after its time", ctx, context.DeadlineExceeded, errSlow)
			cancel()
			ctx, cancel = begin(time.Second)
			cancel()
			over("canceled", ctx, context.Canceled, context.Canceled)
			ctx, cancel = begin(time.Second)
			why := errors.New("left")
			leave(why)
			over("after its parent", ctx, context.Canceled, why)
			cancel()
		})
	}
}

func TestASlowAnswerKeepsToTheDeadlineNotToThePatience(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	u := serve(t, slowly(release))
	defer close(release)
	for _, path := range []string{"/", "/header", "/body"} {
		ctx, cancel := http1.WithTimeout(t.Context(), 300*time.Millisecond, errSlow)
		began := time.Now()
		err := u.readAll(u.request(t, ctx, "GET", path, ""))
		if took := time.Since(began); err == nil || took < 250*time.Millisecond || !errors.Is(context.Cause(ctx), errSlow) {
			t.Errorf("%s: %v because of %v after %s, want the timeout after 300 ms", path, err, context.Cause(ctx), took)
		}
		cancel()
	}
	ctx, cancel := http1.WithTimeout(t.Context(), time.Minute, errSlow)
	defer cancel()
	for range 3 {
		if err := u.readAll(u.request(t, ctx, "GET", "/later", "")); err != nil {
			t.Errorf("an answer after the patience: %v", err)
		}
	}
}
