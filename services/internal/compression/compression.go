// Package compression implements gzip compression of responses for clients that accept it (RFC 9110,
// section 8.4), with the entity tags that it requires.
//
// A response is compressed if its media type compresses well, it is large enough, and it is not
// encoded yet. Event streams are not compressed.
package compression

import (
	"bytes"
	"sync"

	"github.com/valyala/fasthttp"
)

const encoding = "gzip"

// MinSize is the minimum size of a compressed body, in bytes. Below it, header fields and framing
// outweigh the gain.
const MinSize = 1 << 10

// level is the compression level. A list of 50 products, 8795 bytes, becomes 859 in 24 µs at
// this level and 845 in 37 µs at the default one.
const level = fasthttp.CompressBestSpeed

// Accepted reports whether the client accepts gzip for the response to a request.
func Accepted(h *fasthttp.RequestHeader) bool {
	return !h.IsHead() && h.HasAcceptEncoding(encoding)
}

// Apply compresses a response if it is eligible. ifNoneMatch is the value of that header field of the
// request.
func Apply(r *fasthttp.Response, ifNoneMatch string) {
	if r.StatusCode() == fasthttp.StatusNotModified {
		tagNotModified(&r.Header, ifNoneMatch)
		return
	}
	if body := r.Body(); len(body) >= MinSize && eligible(r) {
		setEncoded(r, fasthttp.AppendGzipBytesLevel(nil, body, level))
	}
}

func setEncoded(r *fasthttp.Response, compressed []byte) {
	r.SetBodyRaw(compressed)
	r.Header.SetContentEncoding(encoding)
	if tag := r.Header.Peek(fasthttp.HeaderETag); len(tag) > 0 {
		r.Header.Set(fasthttp.HeaderETag, compressedTag(string(tag)))
	}
}

// Body is the body of several responses. It is compressed once, for the first client that accepts
// gzip.
type Body struct {
	plain      []byte
	compressed func() []byte
}

// NewBody returns a Body of plain, which must not be changed afterwards.
func NewBody(plain []byte) *Body {
	return &Body{plain: plain, compressed: sync.OnceValue(func() []byte { return fasthttp.AppendGzipBytesLevel(nil, plain, level) })}
}

// Set sets the body of a response whose header is complete. accepted reports whether the client
// accepts gzip.
func (b *Body) Set(r *fasthttp.Response, accepted bool) {
	if accepted && len(b.plain) >= MinSize && eligible(r) {
		setEncoded(r, b.compressed())
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

// compressible reports whether bodies of a media type become smaller. Event streams are excluded,
// because buffering in the compressor would delay events.
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
