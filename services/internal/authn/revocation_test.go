package authn_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

// newThings returns an API with an operation for each method.
func newThings(v *authn.Verifier) http.Handler {
	router := chi.NewMux()
	api := humachi.New(router, huma.DefaultConfig("things", "1"))
	api.UseMiddleware(authn.Middleware(api, v))
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		huma.Register(api, authn.Require(huma.Operation{Method: method, Path: "/things", OperationID: method, DefaultStatus: 204}, authn.Manager),
			func(context.Context, *struct{}) (*struct{}, error) { return nil, nil }) //nolint:nilnil // no content
	}
	return router
}

// read starts a reader and returns after its first read.
func read(t *testing.T, v *authn.Verifier, list authn.Revocations) *prometheus.Registry {
	t.Helper()
	metrics := prometheus.NewRegistry()
	reader := authn.NewRevocationReader(v, list, slog.New(slog.DiscardHandler), metrics)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); reader.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-reader.Started()
	return metrics
}

func TestWritesWithRevokedTokenAreRefused(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	v := keys.Verifier(t)
	things := newThings(v)
	read(t, v, func(context.Context) ([]authn.Revocation, error) {
		return []authn.Revocation{{UserID: 7, Generation: 2, Disabled: true}, {UserID: 8, Generation: 2}}, nil
	})
	for name, c := range map[string]struct {
		user, generation int64
		role             authn.Role
		status           int
		code             string
	}{
		"of a disabled account":           {7, 1, authn.Manager, 403, "account_disabled"},
		"without a generation":            {7, 0, authn.Manager, 403, "account_disabled"},
		"of an account that was disabled": {8, 1, authn.Manager, 401, "invalid_token"},
		"before the role":                 {8, 1, authn.Client, 401, "invalid_token"},
		"of the current generation":       {8, 2, authn.Manager, 204, ""},
		"after the list was read":         {7, 3, authn.Manager, 204, ""},
		"of another account":              {9, 0, authn.Manager, 204, ""},
	} {
		token := keys.TokenWith(t, c.user, c.role, map[string]any{"gen": c.generation}, nil)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodGet, http.MethodHead} {
			status, code := c.status, c.code
			if method == http.MethodGet || method == http.MethodHead {
				status, code = 204, ""
				if c.role != authn.Manager {
					status, code = 403, ""
				}
			}
			req := httptest.NewRequestWithContext(t.Context(), method, "/things", nil)
			req.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			things.ServeHTTP(rec, req)
			if rec.Code != status || !strings.Contains(rec.Body.String(), code) {
				t.Errorf("%s %s: %d %s, want %d %s", method, name, rec.Code, rec.Body, status, code)
			}
		}
	}
}

func TestRevocationsAreReadEverySecondAndKeptWithoutAuth(t *testing.T) {
	t.Parallel()
	keys := authntest.New(t)
	synctest.Test(t, func(t *testing.T) {
		var list atomic.Pointer[[]authn.Revocation]
		v := keys.Verifier(t)
		things := newThings(v)
		token := keys.Token(t, 7, authn.Manager)
		expect := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/things", nil)
			req.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			things.ServeHTTP(rec, req)
			if rec.Code != want {
				t.Errorf("%s: %d, want %d", when, rec.Code, want)
			}
		}
		began := time.Now()
		metrics := read(t, v, func(context.Context) ([]authn.Revocation, error) {
			if l := list.Load(); l != nil {
				return *l, nil
			}
			return nil, errors.New("auth is unavailable")
		})
		if waited := time.Since(began); waited != 2*time.Second {
			t.Errorf("the start waited %s for the list, want 2 s", waited)
		}
		expect("before the first read", 204)
		list.Store(&[]authn.Revocation{{UserID: 7, Generation: 1, Disabled: true}})
		time.Sleep(time.Second) // in the time of the bubble
		expect("a second after the revocation", 403)
		list.Store(nil)
		time.Sleep(time.Hour)
		expect("while auth is unavailable", 403)
		age := float64(time.Now().Unix()) - metric(t, metrics, "ecommerce_revocations_last_success_timestamp_seconds")
		if size := metric(t, metrics, "ecommerce_revocations"); size != 1 || age < 3600 {
			t.Errorf("%v revocations that were read %v s ago, want 1 that was read an hour ago", size, age)
		}
	})
}

// metric returns the value of a gauge.
func metric(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestRevocationsAreFetchedFromTheHandler(t *testing.T) {
	t.Parallel()
	want := make([]authn.Revocation, authn.MaxRevocations)
	for i := range want {
		want[i] = authn.Revocation{UserID: 1<<62 + int64(i), Generation: 1 << 31, Disabled: true}
	}
	var failure error
	ts := httptest.NewServer(authn.RevocationsHandler(func(context.Context) ([]authn.Revocation, error) { return want, failure },
		slog.New(slog.DiscardHandler)))
	t.Cleanup(ts.Close)
	fetch := authn.FetchRevocations(ts.URL)
	got, err := fetch(t.Context())
	if err != nil || len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
		t.Errorf("got %d revocations, %v, want all %d", len(got), err, len(want))
	}
	failure = errors.New("no database")
	if _, err := fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want the 503 of auth", err)
	}
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"revocations":[`)) // the client may be gone
		for range 100_000 {
			if _, err := w.Write([]byte(`{"userId":7,"generation":1},`)); err != nil {
				return
			}
		}
		_, _ = w.Write([]byte(`{"userId":7}]}`))
	}))
	t.Cleanup(endless.Close)
	if _, err := authn.FetchRevocations(endless.URL)(t.Context()); err == nil {
		t.Error("a list above the limit is read")
	}
}
