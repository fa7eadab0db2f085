package http1

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http/httputil"
)

// body of an answer. Its connection goes back to the others when it was read to its
// end, and is closed when it was not.
type body struct {
	conn    *conn
	left    int64 // -1 without a length
	chunked io.Reader
	reuse   bool
	ended   bool
	err     error
}

// body is that of the answer whose header was read.
func (c *conn) body() *body {
	b := &body{conn: c, left: c.length, chunked: c.chunks(), reuse: c.keep}
	switch {
	case b.left == 0 && b.chunked == nil:
		b.end()
	case b.left < 0 || int64(c.in.Buffered()) < b.left:
		c.watch.begin() // More has to arrive.
	}
	return b
}

// chunks reads a chunked body (RFC 9112, section 7.1); nil for another.
func (c *conn) chunks() io.Reader {
	if !c.chunked {
		return nil
	}
	return httputil.NewChunkedReader(c.in)
}

// Read implements io.Reader. The last bytes come together with io.EOF where the length
// is known, so that the connection is free as soon as they are.
func (b *body) Read(p []byte) (int, error) {
	if b.ended || b.err != nil {
		return 0, b.final()
	}
	if b.chunked != nil {
		return b.readChunked(p)
	}
	if b.left >= 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.conn.in.Read(p)
	switch {
	case b.left < 0 && errors.Is(err, io.EOF):
		b.end()
		return n, io.EOF
	case errors.Is(err, io.EOF):
		return n, b.fail(io.ErrUnexpectedEOF)
	case err != nil:
		return n, b.fail(err)
	}
	if b.left >= 0 {
		if b.left -= int64(n); b.left == 0 {
			b.end()
			return n, io.EOF
		}
	}
	return n, nil
}

func (b *body) final() error {
	if b.err != nil {
		return b.err
	}
	return io.EOF
}

func (b *body) readChunked(p []byte) (int, error) {
	n, err := b.chunked.Read(p)
	if errors.Is(err, io.EOF) && !emptyLine(b.conn.in) {
		err = errMalformed
	}
	if errors.Is(err, io.EOF) {
		b.end()
		return n, io.EOF
	}
	return n, b.fail(err)
}

// fail keeps why the body cannot be read further.
func (b *body) fail(err error) error {
	if err != nil && b.conn.watch.over(err) {
		err = context.Cause(b.conn.watch.of.Context())
	}
	b.err = err
	return err
}

// emptyLine reads the end of a chunked body, which has no trailers: no service of ours
// sends any.
func emptyLine(in *bufio.Reader) bool {
	line, err := in.ReadSlice('\n')
	return err == nil && string(line) == "\r\n"
}

// end gives the connection back. When the request's context has ended by now, the
// connection is broken.
func (b *body) end() {
	if b.ended {
		return
	}
	b.ended = true
	if b.conn.watch.end() && b.reuse {
		b.conn.from.keep(b.conn)
		return
	}
	b.conn.close()
}

// Close implements io.Closer.
func (b *body) Close() error {
	b.reuse = b.reuse && b.ended
	b.end()
	return nil
}
