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

// Send answers r with the body, in the form that the client wants, and sets the headers
// that say which one it is.
func (b *Body) Send(w http.ResponseWriter, r *http.Request, status int) {
	h, body := w.Header(), b.plain
	if len(body) >= MinSize && Accepted(r) && eligible(status, h) {
		body = b.compressed()
		h["Content-Encoding"] = []string{Encoding}
		if tag := h.Get("Etag"); tag != "" {
			h["Etag"] = []string{tagged(tag)}
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}
