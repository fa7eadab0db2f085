package compression

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// A strong entity tag identifies one sequence of bytes, so the compressed representation of a
// response has a different tag (RFC 9110, section 8.8.3.3): that of the service with gzipSuffix. The
// suffix is removed before a tag is compared, here or by a service, so that a tag of either
// representation works in If-None-Match and in If-Match.
//
// The tags of the services contain no semicolon.
const gzipSuffix = `;gzip"`

// compressedTag returns the entity tag of the compressed representation.
func compressedTag(tag string) string {
	if inner, ok := strings.CutSuffix(tag, `"`); ok && inner != "" && !strings.HasSuffix(tag, gzipSuffix) {
		return inner + gzipSuffix
	}
	return tag
}

// Plain returns the value of a header field without gzipSuffix in its entity tags.
func Plain(tags string) string {
	return strings.ReplaceAll(tags, gzipSuffix, `"`)
}

// Matches reports whether If-None-Match has an entity tag or "*" (weak comparison, RFC 9110, section
// 8.8.3.2). The tag is that of the representation without compression, and matches for both.
func Matches(ifNoneMatch, tag string) bool {
	if tag == "" || ifNoneMatch == "" {
		return false
	}
	for candidate := range strings.SplitSeq(Plain(ifNoneMatch), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == strings.TrimPrefix(tag, "W/") {
			return true
		}
	}
	return false
}

// tagNotModified sets the entity tag of a 304 to that of the stored response of the client (RFC 9110,
// section 15.4.5).
func tagNotModified(h *fasthttp.ResponseHeader, ifNoneMatch string) {
	tag := compressedTag(string(h.Peek(fasthttp.HeaderETag)))
	if tag != "" && strings.Contains(ifNoneMatch, tag) {
		h.Set(fasthttp.HeaderETag, tag)
	}
}
