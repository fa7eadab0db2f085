package compression

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
)

// Body is a whole body that many clients are sent. It is compressed when the first
// client wants that, and once.
type Body struct {
	plain  []byte
	once   sync.Once
	packed []byte
}

// NewBody keeps plain, which must not change any more.
func NewBody(plain []byte) *Body { return &Body{plain: plain} }

func (b *Body) compressed() []byte {
	b.once.Do(func() {
		var buf bytes.Buffer
		gz := take(&buf)
		defer give(gz)
		_, _ = gz.Write(b.plain) // to memory
		_ = gz.Close()
		b.packed = bytes.Clone(buf.Bytes())
	})
	return b.packed
}

// Choose gives the bytes to answer with, to a client that accepts gzip or not, and
// sets the headers that say which they are: Content-Length, and for the compressed
// ones Content-Encoding and the Etag.
func (b *Body) Choose(status int, h http.Header, accepted bool) []byte {
	body := b.plain
	if accepted && len(body) >= MinSize && eligible(status, h) {
		body = b.compressed()
		h["Content-Encoding"] = []string{Encoding}
		if tag := h.Get("Etag"); tag != "" {
			h["Etag"] = []string{tagged(tag)}
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	return body
}
