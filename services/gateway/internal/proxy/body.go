package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"ecommerce-stack.dev/services/internal/problem"
)

// A body is read whole before the upstream is called, so that a slow client takes no
// place among the calls and a call without an answer can be made again. The server
// bounds its size; the few above smallBody, which no call of the contract needs, are
// bounded in number, or many slow clients could fill the memory.
const (
	smallBody   = 64 << 10
	largeBodies = 16
	// firstRead is what is allocated on a client's word alone.
	firstRead = 4 << 10
)

// body of a request that is passed on.
type body []byte

// readBody reads a body; release when it is not needed any more. The error is what
// to tell the client.
func (u *Upstream) readBody(r *http.Request) (b body, release func(), err error) {
	release = func() {}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil, release, nil
	}
	var buf bytes.Buffer
	buf.Grow(int(min(max(r.ContentLength, 0), firstRead)) + bytes.MinRead)
	_, err = buf.ReadFrom(io.LimitReader(r.Body, smallBody+1))
	if err == nil && buf.Len() > smallBody {
		if !u.large.take() {
			u.metrics.failures.WithLabelValues(u.name, "full").Inc()
			return nil, release, problem.Unavailable(time.Second)
		}
		release = u.large.free
		_, err = buf.ReadFrom(r.Body)
	}
	if err != nil {
		release()
		return nil, func() {}, explainBody(err)
	}
	return buf.Bytes(), release, nil
}

// reader of the whole body, for one attempt.
func (b body) reader() io.ReadCloser {
	if len(b) == 0 {
		return http.NoBody
	}
	return io.NopCloser(bytes.NewReader(b))
}

// again implements http.Request.GetBody.
func (b body) again() (io.ReadCloser, error) { return b.reader(), nil }

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
