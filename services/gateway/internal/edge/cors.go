package edge

import (
	"net/http"
	"slices"
)

// Origins are the web origins whose scripts may call (Fetch, section 3.2); "*" is
// all of them. Tokens travel in a header that a script sets itself, so no origin is
// allowed credentials.
type Origins []string

// What scripts may send and see beyond what Fetch allows everyone.
const (
	requestHeaders  = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, Prefer, Traceparent, X-Request-Id"
	responseHeaders = "Age, Cache-Status, ETag, Idempotent-Replayed, Location, Preference-Applied, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, Traceparent, WWW-Authenticate, X-Request-Id"
	preflightAge    = "600"
)

// allow sets the headers for a script's request, or for its preflight, which asks for
// them and nothing else.
func (o Origins) allow(h http.Header, r *http.Request, methods string) {
	if len(o) == 0 {
		return
	}
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin == "" || !slices.Contains(o, origin) && !slices.Contains(o, "*") {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		h.Set("Access-Control-Expose-Headers", responseHeaders)
		return
	}
	h.Set("Access-Control-Allow-Methods", methods)
	h.Set("Access-Control-Allow-Headers", requestHeaders)
	h.Set("Access-Control-Max-Age", preflightAge)
}
