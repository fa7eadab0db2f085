package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"ecommerce-stack.dev/services/internal/problem"
)

// bufferBody is up to which size a body is read before the upstream is called. So a
// slow client holds no connection to an upstream, and a request that found its
// connection closed before a byte was written can be written to another one.
const bufferBody = 64 << 10

// body of a request that is passed on.
type body struct {
	length int64
	whole  []byte    // when it fits
	rest   io.Reader // otherwise: what was read of it, and the rest
	err    atomic.Pointer[error]
}

// newBody reads what fits. The error is what to tell the client.
func newBody(r *http.Request) (*body, error) {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return &body{}, nil
	}
	size := r.ContentLength
	if size < 0 || size > bufferBody {
		size = bufferBody
	}
	start := make([]byte, size)
	n, err := io.ReadFull(r.Body, start)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if r.ContentLength > 0 {
			return nil, explainBody(io.ErrUnexpectedEOF)
		}
		return &body{length: int64(n), whole: start[:n]}, nil
	case err != nil:
		return nil, explainBody(err)
	case r.ContentLength == size:
		return &body{length: size, whole: start}, nil
	}
	return &body{length: r.ContentLength, rest: io.MultiReader(bytes.NewReader(start), r.Body)}, nil
}

func (b *body) reader() io.ReadCloser {
	switch {
	case b.rest != nil:
		return io.NopCloser(b)
	case len(b.whole) > 0:
		return io.NopCloser(bytes.NewReader(b.whole))
	}
	return http.NoBody
}

// again makes the reader of another attempt; nil when there can be none.
func (b *body) again() func() (io.ReadCloser, error) {
	if b.rest != nil {
		return nil
	}
	return func() (io.ReadCloser, error) { return b.reader(), nil }
}

// Read passes on the part that did not fit and remembers why it failed: the
// transport reads it in a goroutine of its own.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.rest.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		b.err.Store(&err)
	}
	return n, err
}

func (b *body) failure() error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// explainBody tells the client what was wrong with the body it sent.
func explainBody(err error) error {
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return fmt.Errorf("read the body: %w", err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(http.StatusRequestTimeout, "", "The body did not arrive in time.")
	}
	return problem.New(http.StatusBadRequest, "", "The body ended early.")
}
