package openapi

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// commonHeaders returns the header fields that many responses have.
func commonHeaders() map[string]*huma.Header {
	text := func(description, example string) *huma.Header {
		return &huma.Header{Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	return map[string]*huma.Header{
		telemetry.RequestIDHeader:   text("Id of the request: the X-Request-Id of the client if it is valid, else a new one. Log lines have it, too.", "01JD9Z3T8M5Q2V7KX4N6B0CWER"),
		telemetry.TraceParentHeader: text("The trace, which is that of the client if it sent one, and the span of the response in it (W3C Trace Context)", exampleTrace),
		"Retry-After": {
			Description: "Seconds to wait before the next request (RFC 9110, section 10.2.3)",
			Schema:      &huma.Schema{Type: huma.TypeInteger}, Example: 1,
		},
		"WWW-Authenticate": text("The authentication scheme, and what is wrong with the token (RFC 6750, section 3)", `Bearer error="invalid_token"`),
		"Accept-Encoding":  text("The content codings that a request may have (RFC 9110, section 12.5.3)", "identity"),
		"ETag":             text("Version of the representation, for If-None-Match and If-Match", `"3"`),
	}
}

// documentHeaders adds the common header fields to every response, and copies description
// and example of other fields from their schemas.
func documentHeaders(op *huma.Operation) {
	tagged := false
	for _, status := range statuses(op, success) {
		for name, h := range response(op, status).Headers {
			if h.Schema == nil {
				continue
			}
			h.Description = h.Schema.Description
			if len(h.Schema.Examples) > 0 {
				h.Example = h.Schema.Examples[0]
			}
			tagged = tagged || name == "ETag"
		}
	}
	for _, status := range statuses(op, func(int) bool { return true }) {
		res := response(op, status)
		if res.Headers == nil {
			res.Headers = map[string]*huma.Header{}
		}
		for name, has := range map[string]bool{
			telemetry.RequestIDHeader:   true,
			telemetry.TraceParentHeader: true,
			"ETag":                      status == http.StatusNotModified || tagged && success(status),
		} {
			if has {
				res.Headers[name] = &huma.Header{Ref: headerRefs + name}
			}
		}
	}
}
