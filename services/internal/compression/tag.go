package compression

import (
	"bytes"
	"strings"

	"github.com/valyala/fasthttp"
)

// A strong entity tag names one sequence of bytes, so the compressed form of a response
// has a tag of its own (RFC 9110, section 8.8.3.3): the service's, with this mark. The
// mark is removed before a tag is compared, here or by a service, so a tag from either
// form works in If-None-Match and, strongly, in If-Match.
//
// No tag that the services make contains a semicolon.
const mark = `;gzip"`

// tagged returns the entity tag of the compressed form.
func tagged(tag string) string {
	if inner, ok := strings.CutSuffix(tag, `"`); ok && inner != "" && !strings.HasSuffix(tag, mark) {
		return inner + mark
	}
	return tag
}

// Plain returns the value of a header field with the mark removed from its entity tags.
func Plain(tags string) string {
	return strings.ReplaceAll(tags, mark, `"`)
}

// PlainTags removes the mark from the entity tags of a request's preconditions.
func PlainTags(h *fasthttp.RequestHeader) {
	for _, name := range [...]string{fasthttp.HeaderIfMatch, fasthttp.HeaderIfNoneMatch} {
		if v := string(bytes.Join(h.PeekAll(name), []byte(", "))); strings.Contains(v, mark) {
			h.Del(name)
			h.Set(name, Plain(v))
		}
	}
}

// tagNotModified gives a 304 the entity tag that the client has, because a 304 has that of
// the response that it stands for (RFC 9110, section 15.4.5).
func tagNotModified(h *fasthttp.ResponseHeader, ifNoneMatch string) {
	marked := tagged(string(h.Peek(fasthttp.HeaderETag)))
	if marked != "" && strings.Contains(ifNoneMatch, marked) {
		h.Set(fasthttp.HeaderETag, marked)
	}
}
