package server

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

const headerRefs = "#/components/headers/"

// commonHeaders are those of many answers.
func commonHeaders() map[string]*huma.Header {
	text := func(description, example string) *huma.Header {
		return &huma.Header{Description: description, Schema: &huma.Schema{Type: huma.TypeString}, Example: example}
	}
	return map[string]*huma.Header{
		RequestIDHeader:   text("The request's id: the client's own X-Request-Id if it sent a usable one. Logs have it, too.", "01JD9Z3T8M5Q2V7KX4N6B0CWER"),
		TraceParentHeader: text("The trace, which is the client's own if it sent one, and the span in it that answered (W3C Trace Context)", exampleTrace),
		"Retry-After": {
			Description: "Seconds to wait before the next try (RFC 9110, section 10.2.3)",
			Schema:      &huma.Schema{Type: huma.TypeInteger}, Example: 1,
		},
		"WWW-Authenticate": text("The scheme, and what is wrong with the token that was sent (RFC 6750, section 3)", `Bearer error="invalid_token"`),
		"ETag":             text("Version of what was answered, for If-None-Match and If-Match", `"3"`),
	}
}

// documentHeaders gives every answer the headers that it has by rule, and those of
// the operation's type what a reader needs beside their schema.
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
			RequestIDHeader:    true,
			TraceParentHeader:  true,
			"Retry-After":      status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable,
			"WWW-Authenticate": status == http.StatusUnauthorized,
			"ETag":             status == http.StatusNotModified || tagged && success(status),
		} {
			if has {
				res.Headers[name] = &huma.Header{Ref: headerRefs + name}
			}
		}
	}
}
