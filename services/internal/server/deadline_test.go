package server_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/server"
)

// observed is the deadline that a handler's context had.
type observed struct {
	at  time.Time
	has bool
}

// startObserving returns a server whose operations GET /work and GET /stream send the
// deadline of their context.
func startObserving(t *testing.T) (fixture, <-chan observed) {
	t.Helper()
	f := newServer(t, lifecycle.Config{}, health.New())
	seen := make(chan observed, 10)
	handler := func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		at, has := ctx.Deadline()
		seen <- observed{at, has}
		return nil, nil
	}
	operation := func(id string) huma.Operation {
		return authn.Public(huma.Operation{Method: "GET", Path: "/" + id, OperationID: id})
	}
	huma.Register(f.srv.API(), server.Slow(operation("work"), time.Hour), handler)
	huma.Register(f.srv.API(), server.Slow(operation("stream"), 0), handler)
	f.Server = httptest.NewServer(f.srv.Handler())
	t.Cleanup(func() { f.Close(); f.Client().CloseIdleConnections() })
	return f, seen
}

func TestRequestAfterItsDeadlineIsRejected(t *testing.T) {
	t.Parallel()
	f, seen := startObserving(t)
	for _, path := range []string{"/work", "/stream"} {
		for _, method := range []string{"GET", "HEAD"} {
			res, body := f.do(t, method, path, "", deadline.Header, deadline.Format(time.Now().Add(-time.Millisecond)))
			if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || method == "GET" && body["code"] != "timeout" {
				t.Errorf("%s %s: %d %v, Retry-After %q; want 503 timeout with Retry-After", method, path, res.StatusCode, body, res.Header.Get("Retry-After"))
			}
		}
	}
	if len(seen) != 0 {
		t.Error("a handler ran")
	}
}

func TestMalformedDeadlineIs400(t *testing.T) {
	t.Parallel()
	f, seen := startObserving(t)
	for _, value := range []string{"soon", "-1", "17957709301230"} {
		res, body := f.do(t, "GET", "/work", "", deadline.Header, value)
		errs, _ := body["errors"].([]any)
		if res.StatusCode != 400 || body["code"] != "malformed_request" || len(errs) != 1 ||
			errs[0].(map[string]any)["location"] != "header.X-Request-Deadline" {
			t.Errorf("%q: %d %v, want 400 malformed_request naming header.X-Request-Deadline", value, res.StatusCode, body)
		}
	}
	if len(seen) != 0 {
		t.Error("a handler ran")
	}
}

func TestContextEndsAtEarlierDeadline(t *testing.T) {
	t.Parallel()
	f, seen := startObserving(t)
	early, late := time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond), time.Now().Add(3*time.Hour)
	f.do(t, "GET", "/work", "", deadline.Header, deadline.Format(early))
	if got := <-seen; !got.has || !got.at.Equal(early) {
		t.Errorf("sent %s: the context ends at %s, want it to end then", early, got.at)
	}
	f.do(t, "GET", "/work", "", deadline.Header, deadline.Format(late))
	if got := <-seen; !got.has || !got.at.Before(late) {
		t.Errorf("sent %s: the context ends at %s, want it to end with the server's timeout", late, got.at)
	}
}

func TestDeadlineDoesNotEndStream(t *testing.T) {
	t.Parallel()
	f, seen := startObserving(t)
	f.do(t, "GET", "/stream", "", deadline.Header, deadline.Format(time.Now().Add(time.Minute)))
	if got := <-seen; got.has {
		t.Errorf("the context of an operation without a timeout ends at %s", got.at)
	}
}

func TestWorkBeyondDeadlineIsTimeout(t *testing.T) {
	t.Parallel()
	f := newServer(t, lifecycle.Config{}, health.New())
	huma.Register(f.srv.API(), server.Slow(authn.Public(huma.Operation{Method: "GET", Path: "/work", OperationID: "work"}), time.Minute),
		func(ctx context.Context, _ *struct{}) (*struct{}, error) {
			<-ctx.Done()
			return nil, errors.Join(errors.New("read"), ctx.Err())
		})
	f.Server = httptest.NewServer(f.srv.Handler())
	t.Cleanup(func() { f.Close(); f.Client().CloseIdleConnections() })
	res, body := f.do(t, "GET", "/work", "", deadline.Header, deadline.Format(time.Now().Add(100*time.Millisecond)))
	if res.StatusCode != 503 || body["code"] != "timeout" {
		t.Errorf("%d %v, want 503 timeout", res.StatusCode, body)
	}
}
