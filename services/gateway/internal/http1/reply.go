package http1

import (
	"context"
	"net/http"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// Reply is an answer whose header has been read. It ends with Done, or with the body of
// its Response.
type Reply struct {
	Status int
	Fields []Field // valid until then

	conn *conn
}

// Relay sends a request that is written out, for a plain one of a client, and reads the
// header of its answer, on the loop of the client's connection or wherever that is. It
// fails as RoundTrip does. now is when it is called.
func (t *Transport) Relay(p *Plain, request []byte, now time.Time) (*Reply, error) {
	c, err := t.connection(p.conn.task, lateDial{p}, p.Method, now)
	if err != nil {
		return nil, err
	}
	eventloop.Bind(c.Conn, p.conn.task)
	c.watch = watch{conn: c, of: p, deadline: p.deadline}
	if err = c.arm(now, len(request) > smallBody); err == nil {
		_, err = c.Write(request)
	}
	if err == nil {
		err = c.await(p.Method, t.MaxHeader)
	}
	if err != nil {
		return nil, c.watch.fail(p.Method, p.Path, err)
	}
	return &c.Reply, nil
}

// lateDial is a caller that leaves its loop before it connects, which takes long.
type lateDial struct{ *Plain }

// Context implements caller.
func (d lateDial) Context() context.Context {
	d.Leave()
	return d.Plain.Context()
}

// Whole is the body, if it has a length and all of it is here. It is valid until Done.
func (r *Reply) Whole() (body []byte, ok bool) {
	c := r.conn
	if c.length < 0 || int64(c.in.Buffered()) < c.length {
		return nil, false
	}
	body, err := c.in.Peek(int(c.length))
	return body, err == nil
}

// Done ends a reply whose body is whole.
func (r *Reply) Done() {
	_, _ = r.conn.in.Discard(int(r.conn.length)) // It is all there.
	b := body{conn: r.conn, reuse: r.conn.keep}
	b.end()
}

// Response is the reply as net/http has it.
func (r *Reply) Response(req *http.Request) *http.Response {
	c := r.conn
	res := &http.Response{Status: c.status, StatusCode: c.Status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: c.minor,
		Header: headerOf(c.Fields), ContentLength: c.length, Request: req}
	if c.minor == 0 {
		res.Proto = "HTTP/1.0"
	}
	if c.chunked {
		delete(res.Header, "Transfer-Encoding")
	}
	res.Body = c.body()
	return res
}
