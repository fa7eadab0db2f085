package server

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"

	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/problem"
)

const timeoutMetadata = "server.timeout"

// Slow returns the operation with a timeout of its own in place of that of the server; 0 is
// no limit, for streams.
func Slow(op huma.Operation, timeout time.Duration) huma.Operation {
	metadata := map[string]any{timeoutMetadata: timeout}
	for k, v := range op.Metadata {
		metadata[k] = v
	}
	op.Metadata = metadata
	return op
}

// limitTime sets the deadline of a request: the timeout of the server, or deadline.Header if
// that is earlier. It refuses a request whose deadline has passed. For an operation without
// a timeout it is checked at the start only: the deadline is that of the beginning of a
// stream.
func (s *Server) limitTime(ctx huma.Context, next func(huma.Context)) {
	now := time.Now()
	until, err := requestDeadline(ctx.Header(deadline.Header), now)
	if err != nil {
		s.refuseOperation(ctx, problem.From(err))
		return
	}
	timeout := s.opts.Timeout
	if t, ok := ctx.Operation().Metadata[timeoutMetadata].(time.Duration); ok {
		timeout = t
	}
	if timeout == 0 {
		next(ctx)
		return
	}
	if own := now.Add(timeout); until.IsZero() || own.Before(until) {
		until = own
	}
	limited, cancel := context.WithDeadline(ctx.Context(), until)
	defer cancel()
	next(huma.WithContext(ctx, limited))
}

var errMalformedDeadline = func() *problem.Problem {
	p := problem.New(http.StatusBadRequest, "", "The header "+deadline.Header+" is not a time.")
	p.Errors = []problem.FieldError{{Location: "header." + deadline.Header, Message: "must be Unix time in milliseconds, 1 to 13 digits"}}
	return p
}()

// requestDeadline returns the deadline in a header field, or the zero time without one. It
// returns an error if the field is malformed or the deadline has passed.
func requestDeadline(header string, now time.Time) (time.Time, error) {
	if header == "" {
		return time.Time{}, nil
	}
	until, ok := deadline.Parse(header)
	switch {
	case !ok:
		return time.Time{}, errMalformedDeadline
	case !now.Before(until):
		return time.Time{}, context.DeadlineExceeded
	}
	return until, nil
}

// refuseOperation writes a problem in place of an operation's response.
func (s *Server) refuseOperation(ctx huma.Context, p *problem.Problem) {
	p.Log(ctx.Context(), s.opts.Log)
	r, w := humachi.Unwrap(ctx)
	problem.Write(w, r, p)
}
