package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type line struct {
	ProductID int64 `json:"productId" minimum:"1"`
	Quantity  int64 `json:"quantity" minimum:"1" maximum:"10000"`
}

type thing struct {
	Name  string      `json:"name" minLength:"1" maxLength:"10"`
	Price money.Price `json:"price"`
	Lines []line      `json:"lines,omitempty" maxItems:"100"`
}

type thingOut struct {
	Name  string       `json:"name"`
	Price money.Amount `json:"price"`
}

type thingResponse struct{ Body thingOut }

// logs is a buffer that several goroutines may write.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

type fixture struct {
	*httptest.Server
	srv  *server.Server
	keys *authntest.Keys
	log  *logs

	metrics *prometheus.Registry
}

// newServer returns a fixture that does not listen.
func newServer(t testing.TB, config lifecycle.Config, health *health.Checks) fixture {
	t.Helper()
	f := fixture{keys: authntest.New(t), log: &logs{}, metrics: telemetry.NewRegistry("test")}
	f.srv = server.New(server.Options{
		Name: "test", Title: "Test", Config: config, Health: health, Verifier: f.keys.Verifier(t),
		Log: telemetry.NewLogger(f.log, "test", slog.LevelDebug), Metrics: f.metrics,
		Timeout: 200 * time.Millisecond,
	})
	return f
}

func start(t *testing.T) fixture {
	t.Helper()
	f := newServer(t, lifecycle.Config{}, health.New())
	register(f.srv.API())
	f.Server = httptest.NewServer(f.srv.Handler())
	t.Cleanup(func() { f.Close(); f.Client().CloseIdleConnections() })
	return f
}

func register(api huma.API) {
	huma.Register(api, authn.Require(huma.Operation{Method: "POST", Path: "/things", OperationID: "make", DefaultStatus: 201}, authn.Manager),
		func(_ context.Context, in *struct{ Body thing }) (*thingResponse, error) {
			return &thingResponse{Body: thingOut{Name: in.Body.Name, Price: in.Body.Price.Amount}}, nil
		})
	huma.Register(api, authn.Public(huma.Operation{Method: "GET", Path: "/things", OperationID: "list"}),
		func(_ context.Context, in *page.Query) (*struct{ Body page.Page[thingOut] }, error) {
			if _, _, err := page.Decode[int64]("things", in.Cursor); err != nil {
				return nil, err
			}
			p, err := page.Cut(make([]thingOut, 0), in.Limit, "things", func(thingOut) int64 { return 1 })
			return &struct{ Body page.Page[thingOut] }{p}, err
		})
	huma.Register(api, authn.Require(huma.Operation{Method: "GET", Path: "/things/{id}", OperationID: "get"}),
		func(ctx context.Context, in *struct {
			ID int64 `path:"id" minimum:"1"`
		}) (*thingResponse, error) {
			caller, ok := authn.FromContext(ctx)
			if !ok || caller.UserID != 7 {
				return nil, errors.New("no caller")
			}
			switch in.ID {
			case 404:
				return nil, failure.NotFound("thing_not_found", "Thing %d does not exist.", in.ID)
			case 409:
				return nil, failure.Conflict("thing_busy", "The thing is busy.").With("available", 3)
			case 500:
				return nil, errors.New("secret query failed")
			case 503:
				return nil, failure.Unavailable(3*time.Second, errors.New("secret host"))
			case 504:
				<-ctx.Done()
				return nil, ctx.Err()
			case 999:
				panic("secret panic")
			}
			return &thingResponse{Body: thingOut{Name: "x"}}, nil
		})
}

func (f fixture) do(t *testing.T, method, path, body string, headers ...string) (*http.Response, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := f.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var parsed map[string]any
	_ = json.Unmarshal(raw, &parsed)
	return res, parsed
}

func TestErrorResponsesAreProblems(t *testing.T) {
	t.Parallel()
	f := start(t)
	manager := []string{"Authorization", f.keys.Bearer(t, 7, authn.Manager)}
	client := []string{"Authorization", f.keys.Bearer(t, 7, authn.Client)}
	type fields = []string
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		code                     string
		locations                fields
	}{
		{"no token", "POST", "/things", `{}`, nil, 401, "unauthenticated", nil},
		{"bad token", "POST", "/things", `{}`, []string{"Authorization", "Bearer x"}, 401, "invalid_token", nil},
		{"wrong role", "POST", "/things", `{}`, client, 403, "forbidden", nil},
		{"no body", "POST", "/things", ``, manager, 400, "malformed_request", nil},
		{"no JSON", "POST", "/things", `{"name":`, manager, 400, "malformed_json", fields{"body"}},
		{"two values", "POST", "/things", `{} {}`, manager, 400, "malformed_json", fields{"body"}},
		{"too deep", "POST", "/things", strings.Repeat("[", 40) + strings.Repeat("]", 40), manager, 400, "malformed_json", fields{"body"}},
		{"not JSON by type", "POST", "/things", `x`, append(manager, "Content-Type", "text/plain"), 415, "unsupported_media_type", nil},
		{"null", "POST", "/things", `null`, manager, 422, "invalid_request", fields{"body"}},
		{"missing fields", "POST", "/things", `{}`, manager, 422, "invalid_request", fields{"body.name", "body.price"}},
		{"unknown field", "POST", "/things", `{"name":"a","price":1,"Name":"b"}`, manager, 422, "invalid_request", fields{"body.Name"}},
		{"wrong types", "POST", "/things", `{"name":1,"price":true}`, manager, 422, "invalid_request", fields{"body.name", "body.price"}},
		{"price scale", "POST", "/things", `{"name":"a","price":"1.999"}`, manager, 422, "invalid_request", fields{"body.price"}},
		{"price range", "POST", "/things", `{"name":"a","price":10000000}`, manager, 422, "invalid_request", fields{"body.price"}},
		{"price exponent", "POST", "/things", `{"name":"a","price":1e1000000000}`, manager, 422, "invalid_request", fields{"body.price"}},
		{"number over int64", "POST", "/things", `{"name":"a","price":1,"lines":[{"productId":9223372036854775808,"quantity":1}]}`, manager, 422, "invalid_request", fields{"body"}},
		{"number over float64", "POST", "/things", `{"name":"a","price":1,"lines":[{"productId":1,"quantity":1e400}]}`, manager, 422, "invalid_request", fields{"body.lines[0].quantity"}},
		{"null list", "POST", "/things", `{"name":"a","price":1,"lines":[null]}`, manager, 422, "invalid_request", fields{"body.lines[0]"}},
		{"body over the limit", "POST", "/things", `{"name":"` + strings.Repeat("x", 1<<20) + `"}`, manager, 413, "body_too_large", nil},
		{"limit too large", "GET", "/things?limit=201", ``, nil, 422, "invalid_request", fields{"query.limit"}},
		{"limit no number", "GET", "/things?limit=x", ``, nil, 422, "invalid_request", fields{"query.limit"}},
		{"bad cursor", "GET", "/things?cursor=x", ``, nil, 422, "invalid_request", fields{"query.cursor"}},
		{"unknown parameter", "GET", "/things?limit=2&Limit=1", ``, nil, 422, "invalid_request", fields{"query.Limit"}},
		{"unknown parameters", "GET", "/things?limti=2&%63olor=red", ``, nil, 422, "invalid_request", fields{"query.color", "query.limti"}},
		{"plus in the path", "GET", "/things/+5", ``, client, 422, "invalid_request", fields{"path.id"}},
		{"leading zero in the path", "GET", "/things/05", ``, client, 422, "invalid_request", fields{"path.id"}},
		{"plus in the query", "GET", "/things?limit=%2B5", ``, nil, 422, "invalid_request", fields{"query.limit"}},
		{"body not UTF-8", "POST", "/things", "{\"name\":\"n\xff\",\"price\":1}", manager, 400, "invalid_utf8", fields{"body"}},
		{"key not UTF-8", "POST", "/things", "{\"n\xff\":1}", manager, 400, "invalid_utf8", fields{"body"}},
		{"half a surrogate pair", "POST", "/things", `{"name":"a\\\ud83d","price":1}`, manager, 400, "invalid_utf8", fields{"body"}},
		{"low surrogate first", "POST", "/things", `{"name":"\uDE00\uD83D","price":1}`, manager, 400, "invalid_utf8", fields{"body"}},
		{"two high surrogates", "POST", "/things", `{"name":"\ud83d\ud83d\ude00","price":1}`, manager, 400, "invalid_utf8", fields{"body"}},
		{"compressed", "POST", "/things", `{"name":"a","price":1}`, append(manager, "Content-Encoding", "gzip"), 415, "unsupported_content_encoding", nil},
		{"compressed twice", "POST", "/things", `{"name":"a","price":1}`, append(manager, "Content-Encoding", "identity, br"), 415, "unsupported_content_encoding", nil},
		{"fraction of an integer", "POST", "/things", `{"name":"a","price":1,"lines":[{"productId":1,"quantity":1.5}]}`, manager, 422, "invalid_request", fields{"body.lines[0].quantity"}},
		{"null", "POST", "/things", `{"name":"a","price":null,"lines":null}`, manager, 422, "invalid_request", fields{"body.lines", "body.price"}},
		{"null in a list", "POST", "/things", `{"name":"a","price":1,"lines":[{"productId":null,"quantity":1}]}`, manager, 422, "invalid_request", fields{"body.lines[0].productId"}},
		{"two points", "POST", "/things", `{"name":"a","price":1.0.0}`, manager, 400, "malformed_json", fields{"body"}},
		{"unknown parameter of HEAD's operation", "GET", "/things/7?x=1", ``, client, 422, "invalid_request", fields{"query.x"}},
		{"unknown parameter without a token", "GET", "/things/7?x=1", ``, nil, 401, "unauthenticated", nil},
		{"unknown parameter of a POST", "POST", "/things?x=1", `{"name":"a","price":1}`, manager, 422, "invalid_request", fields{"query.x"}},
		{"unknown parameter after a semicolon", "GET", "/things?limit=2;limit=3", ``, nil, 422, "invalid_request", fields{"query.limit"}},
		{"parameter without a value", "GET", "/things?limit", ``, nil, 422, "invalid_request", fields{"query.limit"}},
		{"parameter twice", "GET", "/things?limit=2&limit=2", ``, nil, 422, "invalid_request", fields{"query.limit"}},
		{"parameter without a name", "GET", "/things?=2", ``, nil, 422, "invalid_request", fields{"query."}},
		{"long name of a parameter", "GET", "/things?" + strings.Repeat("x", 1000), ``, nil, 422, "invalid_request", fields{"query." + strings.Repeat("x", 194) + "…"}},
		{"query not UTF-8", "GET", "/things?cursor=%ff", ``, nil, 400, "invalid_utf8", nil},
		{"path not UTF-8", "GET", "/things/%ff", ``, client, 400, "invalid_utf8", nil},
		{"NUL in the query", "GET", "/things?cursor=%00", ``, nil, 400, "malformed_request", nil},
		{"id no number", "GET", "/things/x", ``, client, 422, "invalid_request", fields{"path.id"}},
		{"id zero", "GET", "/things/0", ``, client, 422, "invalid_request", fields{"path.id"}},
		{"id over int64", "GET", "/things/9223372036854775808", ``, client, 422, "invalid_request", fields{"path.id"}},
		{"not found", "GET", "/things/404", ``, client, 404, "thing_not_found", nil},
		{"conflict", "GET", "/things/409", ``, client, 409, "thing_busy", nil},
		{"unclassified", "GET", "/things/500", ``, client, 500, "internal", nil},
		{"unavailable", "GET", "/things/503", ``, client, 503, "unavailable", nil},
		{"too slow", "GET", "/things/504", ``, client, 503, "timeout", nil},
		{"panic", "GET", "/things/999", ``, client, 500, "internal", nil},
		{"unknown path", "GET", "/nothing", ``, nil, 404, "not_found", nil},
		{"method of another path", "DELETE", "/things", ``, nil, 405, "method_not_allowed", nil},
		{"unknown method", "BREW", "/things", ``, nil, 405, "method_not_allowed", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			res, body := f.do(t, c.method, c.path, c.body, c.headers...)
			var locations fields
			if list, ok := body["errors"].([]any); ok {
				for _, e := range list {
					locations = append(locations, e.(map[string]any)["location"].(string))
				}
			}
			if res.StatusCode != c.status || body["code"] != c.code || !cmp.Equal(locations, c.locations) {
				t.Errorf("got %d %v %v, want %d %s %v\n%v", res.StatusCode, body["code"], locations, c.status, c.code, c.locations, body)
			}
			if got := res.Header.Get("Content-Type"); got != problem.ContentType {
				t.Errorf("Content-Type %q", got)
			}
			if trace, _ := body["traceId"].(string); len(trace) != 32 || !strings.HasPrefix(c.path, body["instance"].(string)) && c.name != "path not UTF-8" {
				t.Errorf("traceId %v, instance %v", body["traceId"], body["instance"])
			}
		})
	}
	t.Run("headers", func(t *testing.T) {
		t.Parallel()
		res, _ := f.do(t, "DELETE", "/things", "")
		if got := res.Header.Get("Allow"); got != "GET, HEAD, POST" {
			t.Errorf("Allow: %q", got)
		}
		res, _ = f.do(t, "POST", "/things", `{}`)
		if got := res.Header.Get("WWW-Authenticate"); got != "Bearer" {
			t.Errorf("WWW-Authenticate: %q", got)
		}
		res, _ = f.do(t, "POST", "/things", `{}`, append(manager, "Content-Encoding", "gzip")...)
		if got := res.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding: %q", got)
		}
		res, _ = f.do(t, "GET", "/things/503", "", client...)
		if got := res.Header.Get("Retry-After"); got != "3" {
			t.Errorf("Retry-After: %q", got)
		}
		_, body := f.do(t, "GET", "/things/409", "", client...)
		if body["available"] != 3.0 {
			t.Errorf("available: %v", body["available"])
		}
	})
}

func TestUnknownParameterIsReportedWithTheNearestOne(t *testing.T) {
	t.Parallel()
	f := start(t)
	for query, want := range map[string]string{
		"lmit=2":   "is not a parameter of this operation; the nearest one is limit",
		"LIMIT=2":  "is not a parameter of this operation; the nearest one is limit",
		"course=x": "is not a parameter of this operation; the nearest one is cursor",
	} {
		_, body := f.do(t, "GET", "/things?"+query, "")
		errs, _ := body["errors"].([]any)
		if len(errs) != 1 || errs[0].(map[string]any)["message"] != want {
			t.Errorf("%s: %v, want %s", query, body, want)
		}
	}
	_, body := f.do(t, "GET", "/things/7?x=1", "", "Authorization", f.keys.Bearer(t, 7, authn.Client))
	if got := body["errors"].([]any)[0].(map[string]any)["message"]; got != "is not a parameter: this operation has none in the query" {
		t.Errorf("an operation without parameters: %v", body)
	}
}

func TestCauseIsLoggedAndNotInResponse(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, path := range []string{"/things/500", "/things/999", "/things/503"} {
		_, body := f.do(t, "GET", path, "", "Authorization", f.keys.Bearer(t, 7, authn.Client))
		if raw, err := json.Marshal(body); err != nil || strings.Contains(string(raw), "secret") {
			t.Errorf("%s: response %s, %v", path, raw, err)
		}
		if !strings.Contains(f.log.String(), body["traceId"].(string)) {
			t.Errorf("%s: the log lacks the trace", path)
		}
	}
	for _, want := range []string{"secret query failed", "secret panic", "secret host", `"route":"/things/{id}"`} {
		if !strings.Contains(f.log.String(), want) {
			t.Errorf("the log lacks %q", want)
		}
	}
}

func TestResponseOfValidRequest(t *testing.T) {
	t.Parallel()
	f := start(t)
	res, body := f.do(t, "POST", "/things", `{"name":"<é>","price":19.9}`,
		"Authorization", f.keys.Bearer(t, 7, authn.Manager), "Content-Type", "application/json; charset=utf-8")
	want := map[string]any{"name": "<é>", "price": "19.90"}
	if diff := cmp.Diff(want, body); res.StatusCode != 201 || diff != "" || res.Header.Get("Link") != "" {
		t.Errorf("got %d (-want +got):\n%s", res.StatusCode, diff)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Content-Type": "application/json",
	} {
		if got := res.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, body := f.do(t, "GET", "/things", ""); !cmp.Equal(body, map[string]any{"items": []any{}}) {
		t.Errorf("empty list: %v", body)
	}
	if res, _ := f.do(t, "HEAD", "/things", ""); res.StatusCode != 200 {
		t.Errorf("HEAD: %d", res.StatusCode)
	}
}

func TestIntegersOfAnyFormAreAccepted(t *testing.T) {
	t.Parallel()
	f := start(t)
	for _, quantity := range []string{"1", "1.0", "1e0", "10E-1", "1.000", "0.01e2", "1E+3"} {
		// The string has what looks like numbers, and escapes.
		body := `{"name":"1.0\\\"2e0","price":1e1,"lines":[{"productId":1.0,"quantity":` + quantity + `}]}`
		res, got := f.do(t, "POST", "/things", body, "Authorization", f.keys.Bearer(t, 7, authn.Manager))
		if want := (map[string]any{"name": `1.0\"2e0`, "price": "10.00"}); res.StatusCode != 201 || !cmp.Equal(want, got) {
			t.Errorf("%s: %d %v, want 201 %v", quantity, res.StatusCode, got, want)
		}
	}
}

func TestIdentityAndEscapedTextAreAccepted(t *testing.T) {
	t.Parallel()
	f := start(t)
	res, got := f.do(t, "POST", "/things", `{"name":"\ud83d\ude00\u00e9\\ud83","price":1}`,
		"Authorization", f.keys.Bearer(t, 7, authn.Manager), "Content-Encoding", "Identity")
	if res.StatusCode != 201 || got["name"] != "😀é\\ud83" {
		t.Errorf("%d %v", res.StatusCode, got)
	}
}

func TestBodyOfExactLimitIsAccepted(t *testing.T) {
	t.Parallel()
	f := start(t)
	pad := strings.Repeat(" ", 1<<20-len(`{"name":"a","price":1}`))
	res, body := f.do(t, "POST", "/things", `{"name":"a","price":1}`+pad, "Authorization", f.keys.Bearer(t, 7, authn.Manager))
	if res.StatusCode != 201 {
		t.Errorf("got %d %v", res.StatusCode, body)
	}
	r, err := http.NewRequestWithContext(t.Context(), "POST", f.URL+"/things", io.MultiReader(strings.NewReader(`{"name":"a","price":1} `+pad)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", f.keys.Bearer(t, 7, authn.Manager))
	res, err = f.Client().Do(r) // chunked: there is no Content-Length
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("one byte more, chunked: got %d", res.StatusCode)
	}
}

func TestResponseHasRequestIDAndTrace(t *testing.T) {
	t.Parallel()
	f := start(t)
	const trace = "0af7651916cd43dd8448eb211c80319c"
	res, body := f.do(t, "GET", "/nothing", "", "X-Request-Id", "shop-1", "Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
	if res.Header.Get("X-Request-Id") != "shop-1" || body["traceId"] != trace {
		t.Errorf("X-Request-Id %q, traceId %v", res.Header.Get("X-Request-Id"), body["traceId"])
	}
	span := res.Header.Get("Traceparent")
	if !strings.HasPrefix(span, "00-"+trace+"-") || strings.Contains(span, "b7ad6b7169203331") || !telemetry.ValidTraceParent(span) {
		t.Errorf("Traceparent %q, want the trace and another span", span)
	}
	res, _ = f.do(t, "GET", "/nothing", "", "X-Request-Id", "a b", "Traceparent", "00-"+trace)
	if span := res.Header.Get("Traceparent"); !telemetry.ValidTraceParent(span) || strings.Contains(span, trace) {
		t.Errorf("an invalid trace became %q", span)
	}
	if id := res.Header.Get("X-Request-Id"); id == "a b" || id == "" {
		t.Errorf("an invalid id became %q", id)
	}
}

func TestRequestsAreCountedByMethodRouteAndStatus(t *testing.T) {
	t.Parallel()
	f := start(t)
	for range 2 { // the second time, the observers are cached
		f.do(t, "GET", "/things", "")
		f.do(t, "HEAD", "/things", "")
		f.do(t, "GET", "/nothing", "")
		f.do(t, "GET", "/things/7", "")
		f.do(t, "GET", "/livez", "")
		f.do(t, "POST", "/things", "")
		f.do(t, "POST", "/things", `{"name":"a","price":1}`, "Authorization", f.keys.Bearer(t, 7, authn.Manager))
	}
	families, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "http_request_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			labels := m.GetLabel() // in the order of their names
			got[labels[0].GetValue()+" "+labels[1].GetValue()+" "+labels[2].GetValue()] = m.GetHistogram().GetSampleCount()
		}
	}
	want := map[string]uint64{"GET /things 200": 2, "HEAD /things 200": 2, "GET /livez 200": 2, "GET unmatched 404": 2,
		"GET /things/{id} 401": 2, "POST /things 401": 2, "POST /things 201": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

func TestDocumentHasRolesAndProblems(t *testing.T) {
	t.Parallel()
	f := start(t)
	res, doc := f.do(t, "GET", "/openapi.json", "")
	if res.StatusCode != 200 || doc["openapi"] != "3.1.0" {
		t.Fatalf("got %d %v", res.StatusCode, doc["openapi"])
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"ThingOutPage"`, `"x-roles":["Manager"]`, `"bearer":[]`, `"Problem"`, `"application/problem+json"`} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("the document lacks %s", want)
		}
	}
	for _, bad := range []string{"$schema", `"ErrorModel"`} {
		if strings.Contains(string(raw), bad) {
			t.Errorf("the document has %s", bad)
		}
	}
}

func TestOperationWithoutAccessPanics(t *testing.T) {
	t.Parallel()
	srv := newServer(t, lifecycle.Config{}, health.New()).srv
	defer func() {
		if recover() == nil {
			t.Error("an operation without Require or Public was registered")
		}
	}()
	huma.Register(srv.API(), huma.Operation{Method: "GET", Path: "/x", OperationID: "x"},
		func(context.Context, *struct{}) (*thingResponse, error) { return nil, nil })
}

func TestServerFinishesRequestsInFlight(t *testing.T) {
	t.Parallel()
	checks := health.New()
	srv := newServer(t, lifecycle.Config{
		HTTPAddr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second, ShutdownDelay: 10 * time.Millisecond,
	}, checks).srv
	entered, release := make(chan struct{}), make(chan struct{})
	huma.Register(srv.API(), server.Slow(authn.Public(huma.Operation{Method: "GET", Path: "/slow", OperationID: "slow"}), 0),
		func(context.Context, *struct{}) (*thingResponse, error) {
			close(entered)
			<-release
			return &thingResponse{}, nil
		})
	var order []string
	srv.OnStop("first", func(context.Context) error { order = append(order, "first"); return nil })
	srv.OnStop("second", func(context.Context) error { order = append(order, "second"); return errors.New("stuck") })

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Run(ctx) }()
	addr, err := srv.Addr(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	statuses := make(chan int, 1)
	go func() {
		res, err := client.Get("http://" + addr.String() + "/slow")
		if err != nil {
			statuses <- 0
			return
		}
		res.Body.Close()
		statuses <- res.StatusCode
	}()
	<-entered
	cancel()
	<-srv.Draining()
	if !checks.Draining() {
		t.Error("the server is ready while it drains")
	}
	select {
	case err := <-ended:
		t.Fatalf("Run ended with a request in flight: %v", err)
	default:
	}
	close(release)
	if status := <-statuses; status != 200 {
		t.Errorf("the request in flight: status %d, want 200", status)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "stop second: stuck") {
		t.Errorf("Run = %v, want the error of the second stop function", err)
	}
	if diff := cmp.Diff([]string{"first", "second"}, order); diff != "" {
		t.Errorf("stop functions (-want +got):\n%s", diff)
	}
}

func TestAddressInUseIsAnError(t *testing.T) {
	t.Parallel()
	taken := httptest.NewServer(http.NotFoundHandler())
	defer taken.Close()
	srv := newServer(t, lifecycle.Config{HTTPAddr: taken.Listener.Addr().String(), MetricsAddr: "127.0.0.1:0"}, health.New()).srv
	if err := srv.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listen for requests") {
		t.Errorf("Run = %v", err)
	}
}
