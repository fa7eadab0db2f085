// Package compression sends responses as gzip to clients that accept it (RFC 9110,
// section 8.4), and keeps entity tags right while doing so.
//
// A response is compressed if its media type compresses well, it is large enough to gain,
// and it is not encoded yet. Streams of events never are.
package compression

import (
	"bytes"
	"sync"

	"github.com/valyala/fasthttp"
)

const encoding = "gzip"

// MinSize of a body that is compressed, in bytes: with less, the header and the frames of
// the connection outweigh the gain.
const MinSize = 1 << 10

// level of the compression. A list of 50 products, 8795 bytes, becomes 859 in 24 µs at
// this level and 845 in 37 µs at the default one.
const level = fasthttp.CompressBestSpeed

// Accepted reports whether a client accepts gzip for the response to this request.
func Accepted(h *fasthttp.RequestHeader) bool {
	return !h.IsHead() && h.HasAcceptEncoding(encoding)
}

// Apply compresses a response, if it is eligible. ifNoneMatch is that field of the request.
func Apply(r *fasthttp.Response, ifNoneMatch string) {
	if r.StatusCode() == fasthttp.StatusNotModified {
		tagNotModified(&r.Header, ifNoneMatch)
		return
	}
	if body := r.Body(); len(body) >= MinSize && eligible(r) {
		setEncoded(r, fasthttp.AppendGzipBytesLevel(nil, body, level))
	}
}

func setEncoded(r *fasthttp.Response, packed []byte) {
	r.SetBodyRaw(packed)
	r.Header.SetContentEncoding(encoding)
	if tag := r.Header.Peek(fasthttp.HeaderETag); len(tag) > 0 {
		r.Header.Set(fasthttp.HeaderETag, tagged(string(tag)))
	}
}

// Body is a body that many clients are sent. It is compressed once, for the first client
// that accepts that.
type Body struct {
	plain  []byte
	packed func() []byte
}

// NewBody returns a Body of plain, which must not change anymore.
func NewBody(plain []byte) *Body {
	return &Body{plain: plain, packed: sync.OnceValue(func() []byte { return fasthttp.AppendGzipBytesLevel(nil, plain, level) })}
}

// Set sets the body of a response whose header is complete, in the form for a client that
// accepts gzip or not.
func (b *Body) Set(r *fasthttp.Response, accepted bool) {
	if accepted && len(b.plain) >= MinSize && eligible(r) {
		setEncoded(r, b.packed())
		return
	}
	r.SetBodyRaw(b.plain)
}

// eligible reports whether a response may be compressed, apart from its size.
func eligible(r *fasthttp.Response) bool {
	switch r.StatusCode() {
	case fasthttp.StatusNoContent, fasthttp.StatusPartialContent:
		return false
	}
	return len(r.Header.ContentEncoding()) == 0 && compressible(r.Header.ContentType()) &&
		!bytes.Contains(r.Header.Peek(fasthttp.HeaderCacheControl), []byte("no-transform")) // RFC 9110, section 7.7
}

// compressible reports whether bodies of a media type become smaller. A stream of events
// is none of them: what the compressor holds back would arrive late.
func compressible(contentType []byte) bool {
	mediaType, _, _ := bytes.Cut(contentType, []byte(";"))
	switch string(bytes.ToLower(bytes.TrimSpace(mediaType))) {
	case "text/event-stream":
		return false
	case "application/json", "application/javascript", "application/xml", "image/svg+xml":
		return true
	}
	return bytes.HasPrefix(mediaType, []byte("text/")) || bytes.HasSuffix(mediaType, []byte("+json"))
}
