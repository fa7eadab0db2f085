package reload_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"ecommerce-stack.dev/services/internal/reload"
)

func TestRepeatedErrorIsLoggedOnceAndPollingContinues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, cancel := context.WithCancel(t.Context())
		looks := 0
		go reload.Watch(ctx, slog.New(slog.NewTextHandler(&out, nil)), "keys", func() (bool, error) {
			looks++
			if looks <= 3 {
				return false, errors.New("broken file")
			}
			if looks == 5 {
				cancel()
			}
			return looks == 4, nil
		})
		<-ctx.Done()
		synctest.Wait()
		if errs := strings.Count(out.String(), "broken file"); errs != 1 || strings.Count(out.String(), "msg=reloaded") != 1 {
			t.Errorf("%d errors logged in:\n%s", errs, out.String())
		}
	})
}
