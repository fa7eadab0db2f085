package health_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"ecommerce-stack.dev/services/internal/health"
)

func get(t *testing.T, h http.HandlerFunc) (int, map[string]any) {
	t.Helper()
	rec := httptest.NewRecorder()
	h(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	var body map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	return rec.Code, body
}

func TestHealthNamesFailingCheck(t *testing.T) {
	t.Parallel()
	c := health.New()
	c.Add("database", func(context.Context) error { return nil })
	if code, body := get(t, c.Health); code != 200 || body["status"] != "up" {
		t.Errorf("all pass: got %d %v", code, body)
	}
	c.Add("broker", func(context.Context) error { return errors.New("amqp://user:hunter2@host") })
	code, body := get(t, c.Health)
	checks := body["checks"].(map[string]any)
	if code != 503 || checks["broker"].(map[string]any)["status"] != "down" || checks["database"].(map[string]any)["status"] != "up" {
		t.Errorf("one fails: got %d %v", code, body)
	}
	if code, _ := get(t, c.Ready); code != 200 {
		t.Errorf("ready = %d with an unavailable dependency, want 200", code)
	}
}

func TestCheckThatIgnoresItsContextIsDown(t *testing.T) {
	t.Parallel()
	c := health.New()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	c.Add("stuck", func(context.Context) error { <-release; return nil })
	if code, body := get(t, c.Health); code != 503 {
		t.Errorf("got %d %v, want 503", code, body)
	}
}

func TestRequestsShareOneCheck(t *testing.T) {
	t.Parallel()
	c := health.New()
	runs := 0
	c.Add("database", func(context.Context) error { runs++; return nil })
	for range 100 {
		get(t, c.Health)
	}
	if runs > 2 {
		t.Errorf("100 requests ran the check %d times", runs)
	}
}

func TestDrainingServiceIsLiveButNotReady(t *testing.T) {
	t.Parallel()
	c := health.New()
	c.Drain()
	if code, _ := get(t, c.Ready); code != 503 {
		t.Errorf("ready = %d, want 503", code)
	}
	if code, _ := get(t, c.Live); code != 200 {
		t.Errorf("live = %d, want 200", code)
	}
	if code, body := get(t, c.Health); code != 503 || body["status"] != "draining" {
		t.Errorf("health = %d %v, want 503 draining", code, body)
	}
}
