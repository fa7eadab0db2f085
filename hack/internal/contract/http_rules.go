package contract

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// httpRules returns the rules of all requests.
func httpRules() []rule {
	return []rule{
		{"http/an unknown route is 404", nil, func(w *testContext) {
			for _, path := range []string{"/nothing", "/metrics", "/admin", "/auth", "/sales/1/2/3", "/products/"} {
				a := w.fetch(w.URL, http.MethodGet, path, call{as: w.manager})
				if a.status != http.StatusNotFound {
					w.t.Errorf("GET %s: %d, want 404", path, a.status)
					continue
				}
				hasCode("not_found")(w, a)
			}
		}},
		{"http/a wrong method is 405", nil, wrongMethods},
		{"http/HEAD is GET without the body", nil, headRequests},
		{"http/X-Request-Id is accepted or generated", nil, requestIDs},
		{"http/traceparent is continued and returned", nil, traceContext},
		{"http/identity headers are ignored", nil, identityHeaders},
		{"http/CORS headers for the allowed origin", []requirement{webOrigin}, corsHeaders},
		{"http/health", nil, healthEndpoints},
		{"http/documents", nil, documentation},
		{"http/documents have validators", nil, documentValidators},
	}
}

var allMethods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// wrongMethods calls each path with a method that it does not support.
func wrongMethods(w *testContext) {
	taken := map[string][]string{}
	for _, op := range w.document.Operations {
		taken[op.Path] = append(taken[op.Path], op.Method)
	}
	for template, methods := range taken {
		wrong := allMethods[slices.IndexFunc(allMethods, func(m string) bool { return !slices.Contains(methods, m) })]
		_, filled := resolvePath(wrong+" "+template, []any{1, 1})
		if w.document.find(wrong, filled) != nil {
			continue // /stock/audit is also of the form /stock/{productId}
		}
		a := w.fetch(w.URL, wrong, filled, call{as: w.manager})
		if a.status != http.StatusMethodNotAllowed {
			w.t.Errorf("%s %s: %d, want 405", wrong, filled, a.status)
			continue
		}
		hasCode("method_not_allowed")(w, a)
		allow := strings.Split(a.header.Get("Allow"), ", ")
		for _, m := range methods {
			if !slices.Contains(allow, m) || slices.Contains(allow, wrong) {
				w.t.Errorf("%s %s: Allow is %v, want %v", wrong, filled, allow, methods)
			}
		}
	}
}

func headRequests(w *testContext) {
	p := w.newProduct(1)
	for _, path := range []string{"/products/" + itoa(p.ID), "/products?q=" + unique()} {
		get, head := w.fetch(w.URL, http.MethodGet, path, call{}), w.fetch(w.URL, http.MethodHead, path, call{})
		if head.status != get.status || len(head.body) != 0 {
			w.t.Errorf("HEAD %s: %d with %d bytes, want %d with none", path, head.status, len(head.body), get.status)
		}
		for _, name := range []string{"ETag", "Content-Type"} {
			hasHeader(name, get.header.Get(name))(w, head)
		}
	}
	if a := w.fetch(w.URL, http.MethodHead, "/sales", call{}); a.status != http.StatusUnauthorized {
		w.t.Errorf("HEAD /sales without a token: %d, want 401", a.status)
	}
}

func requestIDs(w *testContext) {
	mine := unique()
	hasHeader("X-Request-Id", mine)(w, w.send("GET /products", call{header: []string{"X-Request-Id", mine}}))
	hasHeader("X-Request-Id", mine)(w, w.send("GET /sales", call{as: w.ann, header: []string{"X-Request-Id", mine}}))
	for _, unusable := range []string{"two words", strings.Repeat("x", 1000)} {
		a := w.send("GET /products", call{header: []string{"X-Request-Id", unusable}})
		if a.header.Get("X-Request-Id") == unusable {
			w.t.Errorf("X-Request-Id %.20q was accepted", unusable)
		}
	}
	first, second := w.send("GET /products", call{}), w.send("GET /products", call{})
	if first.header.Get("X-Request-Id") == second.header.Get("X-Request-Id") {
		w.t.Error("two requests have the same X-Request-Id")
	}
}

// traceContext checks the trace of a problem, a proxied request, and cached responses,
// which were created with other traces.
func traceContext(w *testContext) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	mine := []string{"Traceparent", "00-" + trace + "-" + span + "-01"}
	a := w.must("GET /products/{productId}", http.StatusNotFound, call{args: []any{unknownID + 10}, header: mine})
	if got := a.field(w, "traceId"); got != trace {
		w.t.Errorf("traceId is %s, want that of the traceparent, %s", got, trace)
	}
	for _, a := range []*response{a, w.send("GET /products", call{header: mine}), w.send("GET /sales", call{as: w.ann, header: mine})} {
		if got := a.header.Values("Traceparent"); len(got) != 1 || !strings.HasPrefix(got[0], "00-"+trace+"-") || strings.Contains(got[0], span) {
			w.t.Errorf("Traceparent is %q, want one with trace %s and another span than %s", got, trace, span)
		}
	}
	for _, unusable := range []string{"00-" + trace, "00-" + strings.Repeat("0", 32) + "-" + span + "-01"} {
		a := w.send("GET /products", call{header: []string{"Traceparent", unusable}})
		if got := a.header.Get("Traceparent"); !traceParentForm.MatchString(got) || strings.Contains(got, trace) {
			w.t.Errorf("Traceparent %q became %q, want a new trace", unusable, got)
		}
	}
	first, second := w.send("GET /products", call{}), w.send("GET /products", call{})
	if first.header.Get("Traceparent") == second.header.Get("Traceparent") {
		w.t.Error("two requests have the same Traceparent")
	}
}

// identityHeaders sends the headers in which other gateways pass the identity of the
// caller.
func identityHeaders(w *testContext) {
	forged := []string{"X-User-Id", itoa(w.bob.id), "X-User-Role", "Manager", "X-Auth-Role", "Manager", "X-Remote-User", "1",
		"X-Forwarded-User", itoa(w.bob.id), "Cookie", "token=" + w.manager.access}
	w.must("GET /sales", http.StatusUnauthorized, call{header: forged})
	w.must("GET /stock/audit", http.StatusForbidden, call{as: w.ann, header: forged})
	created := w.place(w.ann, orderBody(line{ProductID: unknownID, Quantity: 1}), forged...)
	if created.CustomerID != w.ann.id {
		w.t.Errorf("the sale belongs to user %d, want %d", created.CustomerID, w.ann.id)
	}
	if a := w.fetch(w.URL, http.MethodGet, "/sales", call{query: "access_token=" + w.ann.access}); a.status != http.StatusUnauthorized {
		w.t.Errorf("a token in the query: %d, want 401", a.status)
	}
}

func corsHeaders(w *testContext) {
	preflight := []string{"Origin", w.Origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,idempotency-key"}
	a := w.fetch(w.URL, http.MethodOptions, "/sales", call{header: preflight})
	if a.status != http.StatusNoContent && a.status != http.StatusOK {
		w.t.Errorf("preflight: %d", a.status)
	}
	hasHeader("Access-Control-Allow-Origin", w.Origin)(w, a)
	for name, wants := range map[string][]string{
		"Access-Control-Allow-Methods": {"GET", "POST"},
		"Access-Control-Allow-Headers": {"Authorization", "Idempotency-Key", "If-Match"},
	} {
		for _, want := range wants {
			if !strings.Contains(a.header.Get(name), want) {
				w.t.Errorf("%s is %q, want %s among it", name, a.header.Get(name), want)
			}
		}
	}
	a = w.send("GET /products", call{header: []string{"Origin", w.Origin}})
	hasHeader("Access-Control-Allow-Origin", w.Origin)(w, a)
	exposed := strings.Split(a.header.Get("Access-Control-Expose-Headers"), ", ")
	for name := range w.document.headers() {
		// Browsers expose Cache-Control to all scripts, and Set-Cookie to none.
		if name != "Cache-Control" && name != "Set-Cookie" && !slices.Contains(exposed, name) {
			w.t.Errorf("%s is documented, but not exposed to scripts", name)
		}
	}
	a = w.send("GET /products", call{header: []string{"Origin", "https://other.example.com"}})
	hasHeader("Access-Control-Allow-Origin", "")(w, a)
}

func healthEndpoints(w *testContext) {
	bases := []string{w.URL}
	for _, base := range w.Services {
		bases = append(bases, base)
	}
	for _, base := range bases {
		a := w.fetch(base, http.MethodGet, "/health", call{})
		var report struct{ Checks map[string]any }
		a.into(w, &report)
		if a.status != http.StatusOK || len(report.Checks) == 0 {
			w.t.Errorf("%s/health: %d %s, want 200 and each check", base, a.status, a.body)
		}
		for _, path := range []string{"/livez", "/readyz"} {
			if a := w.fetch(base, http.MethodGet, path, call{}); a.status != http.StatusOK {
				w.t.Errorf("%s%s: %d", base, path, a.status)
			}
		}
		if a := w.fetch(base, http.MethodGet, "/metrics", call{}); a.status != http.StatusNotFound {
			w.t.Errorf("%s/metrics: %d, want 404, because metrics have a separate port", base, a.status)
		}
	}
}

// documentation checks the OpenAPI document, the page /docs, and that / leads to it.
func documentation(w *testContext) {
	if ok, errs := w.document.validator.ValidateDocument(); !ok {
		w.t.Errorf("the OpenAPI document is invalid: %v", errs)
	}
	seen := map[string]string{}
	for name, op := range w.document.Operations {
		if op.ID == "" || op.Summary == "" || len(op.Tags) == 0 {
			w.t.Errorf("%s lacks an operationId, a summary or a tag", name)
		}
		if other := seen[op.ID]; other != "" {
			w.t.Errorf("%s and %s have the same operationId %s", name, other, op.ID)
		}
		seen[op.ID] = name
		for status, res := range op.Responses {
			if (status == "204" || status == "304") && len(res.Content) > 0 {
				w.t.Errorf("%s documents a body for %s", name, status)
			}
			if status >= "400" && res.Content["application/problem+json"] == nil {
				w.t.Errorf("%s documents no problem for %s", name, status)
			}
		}
	}
	a := w.fetch(w.URL, http.MethodGet, "/docs", call{})
	if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		w.t.Errorf("/docs: %d %s, want an HTML page", a.status, a.header.Get("Content-Type"))
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a := w.fetch(w.URL, method, "/", call{})
		if a.status != http.StatusFound || a.header.Get("Location") != "/docs" {
			w.t.Errorf("%s /: %d to %q, want a redirect to /docs", method, a.status, a.header.Get("Location"))
		}
	}
}

// documentValidators checks the documents and the page that the gateway serves itself: their media types,
// entity tags, conditional requests and methods.
func documentValidators(w *testContext) {
	for path, contentType := range map[string]string{
		"/openapi.json": "application/openapi+json", "/asyncapi.json": "application/vnd.aai.asyncapi+json;version=3.0.0",
		"/docs": "text/html", "/docs/swagger-ui.css": "text/css",
	} {
		get := w.fetch(w.URL, http.MethodGet, path, call{})
		tag := get.header.Get("ETag")
		if get.status != http.StatusOK || !strings.HasPrefix(get.header.Get("Content-Type"), contentType) || len(get.body) < 1000 {
			w.t.Errorf("GET %s: %d with %d bytes of %s, want %s", path, get.status, len(get.body), get.header.Get("Content-Type"), contentType)
		}
		if !tagForm.MatchString(tag) {
			w.t.Errorf("GET %s: ETag %s is not quoted (RFC 9110, section 8.8.3)", path, tag)
		}
		if vary := get.header.Values("Vary"); len(vary) != 1 || !strings.HasPrefix(vary[0], "Accept-Encoding") {
			w.t.Errorf("GET %s: Vary %q, want one line", path, vary)
		}
		if head := w.fetch(w.URL, http.MethodHead, path, call{}); head.status != http.StatusOK || len(head.body) > 0 || !tagForm.MatchString(head.header.Get("ETag")) {
			w.t.Errorf("HEAD %s: %d with %d bytes and ETag %s", path, head.status, len(head.body), head.header.Get("ETag"))
		}
		for condition, want := range map[string]int{tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200} {
			a := w.fetch(w.URL, http.MethodGet, path, call{header: []string{"If-None-Match", condition}})
			if a.status != want || want == 304 && (len(a.body) > 0 || !tagForm.MatchString(a.header.Get("ETag"))) {
				w.t.Errorf("GET %s with If-None-Match %s: %d with %d bytes and ETag %s, want %d", path, condition, a.status, len(a.body), a.header.Get("ETag"), want)
			}
		}
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			a := w.fetch(w.URL, method, path, call{})
			if a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "GET, HEAD, OPTIONS" {
				w.t.Errorf("%s %s: %d with Allow %q, want 405", method, path, a.status, a.header.Get("Allow"))
			}
		}
	}
}

// tagForm is the form of an entity tag.
var tagForm = regexp.MustCompile(`^(W/)?"[^"]+"$`)
