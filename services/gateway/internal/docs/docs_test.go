package docs_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"ecommerce-stack.dev/services/gateway/internal/docs"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/problem"
)

// service is a source of a document.
type service struct {
	name  string
	calls atomic.Int64
	fetch func() error // before each document
}

func (s *service) Name() string { return s.name }

func (s *service) Document(context.Context, time.Duration) ([]byte, error) {
	s.calls.Add(1)
	if err := s.fetch(); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"paths": map[string]any{"/" + s.name: map[string]any{"get": map[string]any{}}}})
}

func forwarded(string, string) *openapi.Forwarded { return &openapi.Forwarded{} }

func TestDocumentIsAvailableAfterAllServicesRespond(t *testing.T) {
	t.Parallel()
	var down atomic.Bool
	down.Store(true)
	auth := &service{name: "auth", fetch: func() error { return nil }}
	stock := &service{name: "stock", fetch: func() error {
		if down.Load() {
			return errors.New("down")
		}
		return nil
	}}
	d := docs.New([]docs.Source{auth, stock}, forwarded)
	var ctx fasthttp.RequestCtx
	if p := problem.From(d.Serve(&ctx)); p.Status != 503 || p.GetHeaders().Get("Retry-After") == "" {
		t.Errorf("with a service down: got %v", p)
	}
	down.Store(false)
	if err := d.Serve(&ctx); err != nil || !strings.Contains(string(ctx.Response.Body()), `"/stock"`) {
		t.Fatalf("got %v %s", err, ctx.Response.Body())
	}
	down.Store(true)
	var again fasthttp.RequestCtx
	if err := d.Serve(&again); err != nil || string(again.Response.Body()) != string(ctx.Response.Body()) {
		t.Errorf("the document is not served anymore: %v", err)
	}
}

func TestManyRequestsShareOneFetch(t *testing.T) {
	t.Parallel()
	entered, release := make(chan struct{}, 1), make(chan struct{})
	slow := &service{name: "auth", fetch: func() error { entered <- struct{}{}; <-release; return nil }}
	d := docs.New([]docs.Source{slow}, forwarded)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := d.Serve(new(fasthttp.RequestCtx)); err != nil {
				t.Error(err)
			}
		})
	}
	<-entered
	close(release)
	wg.Wait()
	if n := slow.calls.Load(); n > 2 { // a request may come after the fetch of the others
		t.Errorf("the service was asked %d times", n)
	}
}

func TestPageLoadsOnlyItsOwnAssets(t *testing.T) {
	t.Parallel()
	page, err := docs.Page()
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) *fasthttp.Response {
		var ctx fasthttp.RequestCtx
		var req fasthttp.Request
		req.SetRequestURI("http://shop.example" + path)
		ctx.Init(&req, nil, nil)
		if err := page(&ctx); err != nil || ctx.Response.StatusCode() != 200 {
			t.Fatalf("%s: got %d, %v", path, ctx.Response.StatusCode(), err)
		}
		return &ctx.Response
	}
	res := get("/docs")
	html := string(res.Body())
	for _, loads := range []string{`src="`, `href="`} {
		for _, part := range strings.Split(html, loads)[1:] {
			target, _, _ := strings.Cut(part, `"`)
			if !strings.HasPrefix(target, "/docs/") {
				t.Errorf("the page loads %s", target)
				continue
			}
			get(target)
		}
	}
	for _, want := range []string{`<meta name="viewport" content="width=device-width, initial-scale=1">`, "prefers-color-scheme: dark"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	csp := string(res.Header.Peek("Content-Security-Policy"))
	if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "'sha256-") || strings.Contains(csp, "http") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
}

func TestRootLeadsToThePage(t *testing.T) {
	t.Parallel()
	var ctx fasthttp.RequestCtx
	if err := docs.Redirect(&ctx); err != nil || ctx.Response.StatusCode() != 302 || string(ctx.Response.Header.Peek("Location")) != docs.PagePath {
		t.Errorf("got %v, %d to %q", err, ctx.Response.StatusCode(), ctx.Response.Header.Peek("Location"))
	}
}
