package compression

import (
	"net/http"
	"strings"
)

// A strong entity tag names one sequence of bytes, so the compressed form of an
// answer has one of its own (RFC 9110, section 8.8.3.3): the service's, with a mark.
// The mark is taken off again before a tag is compared, here or by a service, so
// whatever a client was given works in If-None-Match and, strongly, in If-Match.
//
// A semicolon is in no tag that our services make.
const mark = `;gzip"`

// tagged is the entity tag of the compressed form.
func tagged(tag string) string {
	if inner, ok := strings.CutSuffix(tag, `"`); ok && inner != "" && !strings.HasSuffix(tag, mark) {
		return inner + mark
	}
	return tag
}

// Plain takes the mark off the entity tags in the value of a header.
func Plain(tags string) string {
	if !strings.Contains(tags, mark) {
		return tags
	}
	return strings.ReplaceAll(tags, mark, `"`)
}

// PlainTags takes the mark off the entity tags of a request's preconditions. It
// replaces the values in h, and leaves them where they came from as they are.
func PlainTags(h http.Header) {
	for _, name := range []string{"If-Match", "If-None-Match"} {
		values := h[name]
		for i, v := range values {
			if plain := Plain(v); plain != v {
				values = append([]string(nil), values...)
				values[i] = plain
				h[name] = values
			}
		}
	}
}

// tagNotModified gives a 304 the entity tag that the client has, for a 304 has that of
// the answer it stands for (RFC 9110, section 15.4.5).
func tagNotModified(h http.Header, r *http.Request) {
	tag := h.Get("Etag")
	if tag == "" {
		return
	}
	for _, known := range r.Header["If-None-Match"] {
		if marked := tagged(tag); strings.Contains(known, marked) {
			h["Etag"] = []string{marked}
		}
	}
}
