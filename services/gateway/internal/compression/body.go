package compression

import (
	"bytes"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
)

// Body is a whole body that many clients are sent. It is compressed when the first
// client wants that, and once.
type Body struct {
	plain  []byte
	once   sync.Once
	packed []byte
	ready  atomic.Bool
}

// NewBody keeps plain, which must not change any more.
func NewBody(plain []byte) *Body { return &Body{plain: plain} }

// Ready says that nothing is left to compress for whoever wants that.
func (b *Body) Ready() bool { return len(b.plain) < MinSize || b.ready.Load() }

func (b *Body) compressed() []byte {
	b.once.Do(func() {
		var buf bytes.Buffer
		gz := take(&buf)
		defer give(gz)
		_, _ = gz.Write(b.plain) // to memory
		_ = gz.Close()
		b.packed = bytes.Clone(buf.Bytes())
		b.ready.Store(true)
	})
	return b.packed
}

// For is the form of the body for a client that accepts gzip or not, and the entity tag
// of that form of an answer with a header.
func (b *Body) For(accepted bool, status int, h http.Header) (body []byte, tag string, encoded bool) {
	tag = h.Get("Etag")
	if !accepted || len(b.plain) < MinSize || !eligible(status, h) {
		return b.plain, tag, false
	}
	return b.compressed(), tagged(tag), true
}

// Send answers r with the body, in the form that the client wants, and sets the headers
// that say which one it is.
func (b *Body) Send(w http.ResponseWriter, r *http.Request, status int) {
	h := w.Header()
	body, tag, encoded := b.For(Accepted(r), status, h)
	if encoded {
		h["Content-Encoding"] = []string{Encoding}
		if tag != "" {
			h["Etag"] = []string{tag}
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}
