package http1

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// caller is whose context a call ends with. It is asked for only when the call takes
// long or fails.
type caller interface{ Context() context.Context }

// watch breaks a connection when a context ends.
type watch struct {
	conn     *conn
	of       caller
	deadline time.Time // of the context, zero for none
	begun    bool
	stop     func() bool // nil until begin
}

func (w *watch) begin() {
	if w.begun {
		return
	}
	w.begun = true
	ctx := w.of.Context()
	_ = w.conn.SetDeadline(w.deadline) // A connection that is broken says so when it is used.
	w.stop = context.AfterFunc(ctx, w.conn.abort)
}

// end says whether the connection is as it was.
func (w *watch) end() bool { return w.stop == nil || w.stop() }

// over says whether err comes from the end of the context. A connection's deadline may
// be over a moment before the context's timer has run.
func (w *watch) over(err error) bool {
	ctx := w.of.Context()
	if !w.deadline.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(w.deadline) {
		<-ctx.Done()
	}
	return ctx.Err() != nil
}

// fail ends a call and its connection, and says why.
func (w *watch) fail(method, path string, err error) error {
	w.end()
	w.conn.close()
	if w.over(err) {
		return context.Cause(w.of.Context())
	}
	return fmt.Errorf("%s %s: %w", method, path, err)
}
