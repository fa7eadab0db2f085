package http1

import (
	"errors"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// exchange is a request with its answer.
type exchange struct {
	request  http.Request
	url      url.URL
	body     requestBody
	ctx      requestContext
	response response
}

// head is the first line of a request and its fields.
type head struct {
	method, target, proto string
	minor                 int
	fields                []Field
}

// parse reads a request's head (RFC 9112, sections 3 and 5).
func (h *head) parse(text string) bool {
	line, rest, _ := strings.Cut(text, "\n")
	line, ok := strings.CutSuffix(line, "\r")
	if !ok {
		return false
	}
	h.method, line, _ = strings.Cut(line, " ")
	h.target, h.proto, ok = strings.Cut(line, " ")
	if !ok || !token(h.method) || !printable(h.target) {
		return false
	}
	switch h.proto {
	case "HTTP/1.1":
		h.minor = 1
	case "HTTP/1.0":
		h.minor = 0
	default:
		return false
	}
	var err error
	h.fields, err = appendFields(emptied(h.fields), rest)
	return err == nil
}

// exchange makes what net/http knows of the request whose head was read, or says with
// which status to refuse it.
func (c *serverConn) exchange(h *head, now time.Time) (*exchange, int) {
	header := headerOf(h.fields)
	ex := c.newExchange(now)
	host, ok := hostOf(header, h.minor)
	if !ok || !ex.locate(h.method, h.target) {
		return nil, http.StatusBadRequest
	}
	if ex.url.Host != "" {
		host = ex.url.Host // The absolute form goes before the field (section 3.2.2).
	}
	ex.request = http.Request{
		Method: h.method, URL: &ex.url, Proto: h.proto, ProtoMajor: 1, ProtoMinor: h.minor, Header: header,
		Host: host, RemoteAddr: c.remote, RequestURI: h.target,
	}
	ex.response.head = h.method == http.MethodHead
	ex.response.last = h.minor == 0 || names(header["Connection"], "close")
	return ex, ex.frame(c, now)
}

func (c *serverConn) newExchange(now time.Time) *exchange {
	clear(c.header)
	ex := &exchange{response: response{conn: c, header: c.header, began: now, declared: -1}}
	ex.ctx.conn = c
	return ex
}

// hostOf takes the field Host out of a header.
func hostOf(h http.Header, minor int) (string, bool) {
	hosts := h["Host"]
	delete(h, "Host")
	if len(hosts) == 0 {
		return "", minor == 0
	}
	return hosts[0], len(hosts) == 1 && strings.IndexFunc(hosts[0], notOfHost) < 0
}

// notOfHost says that a character is in no host and port (RFC 3986, section 3.2).
func notOfHost(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("/?#@\\\"<>^`{|}", r)
}

// locate reads the target of a request.
func (ex *exchange) locate(method, target string) bool {
	switch {
	case target == "*":
		ex.url.Path = target
		return method == http.MethodOptions
	case method == http.MethodConnect:
		return false // We are no tunnel.
	}
	if path, query, asked := strings.Cut(target, "?"); plain(path) {
		ex.url.Path, ex.url.RawQuery, ex.url.ForceQuery = path, query, asked && query == ""
		return true
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return false
	}
	ex.url = *u
	return target[0] == '/' || u.Scheme == "http" && u.Host != "" && u.User == nil
}

// plain says that a path means itself, so that net/url has nothing to say about it.
func plain(path string) bool {
	if path == "" || path[0] != '/' {
		return false
	}
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '/', c == '-', c == '_', c == '.', c == '~':
		default:
			return false
		}
	}
	return true
}

// frame finds the body. A request that says its length in two ways, or in one that
// could be read in two, is not for us to interpret.
func (ex *exchange) frame(c *serverConn, now time.Time) int {
	coding, lengths := ex.request.Header["Transfer-Encoding"], ex.request.Header["Content-Length"]
	ex.body = requestBody{conn: c, began: now, ctx: &ex.ctx, response: &ex.response}
	ex.request.Body = http.NoBody
	switch {
	case len(coding) > 0:
		if len(coding) > 1 || !strings.EqualFold(coding[0], "chunked") || len(lengths) > 0 || ex.request.ProtoMinor == 0 {
			return http.StatusBadRequest
		}
		delete(ex.request.Header, "Transfer-Encoding")
		ex.request.TransferEncoding = []string{"chunked"}
		ex.request.ContentLength = -1
		ex.body.chunked = httputil.NewChunkedReader(c.in)
	case len(lengths) > 0:
		n, err := strconv.ParseUint(lengths[0], 10, 63)
		if err != nil || len(lengths) > 1 || lengths[0][0] == '+' {
			return http.StatusBadRequest
		}
		ex.request.ContentLength, ex.body.left = int64(n), int64(n)
	}
	if ex.body.chunked == nil && ex.body.left == 0 {
		ex.body.ended = true
		return 0
	}
	ex.request.Body, ex.ctx.unread = &ex.body, true
	return ex.expect()
}

// expect notes that the client waits for a word before it sends the body (RFC 9110,
// section 10.1.1).
func (ex *exchange) expect() int {
	expected := ex.request.Header["Expect"]
	switch {
	case len(expected) == 0:
	case names(expected, "100-continue"):
		ex.body.waits = ex.request.ProtoMinor == 1
	default:
		return http.StatusExpectationFailed
	}
	return 0
}

// requestBody reads the body of a request.
type requestBody struct {
	conn     *serverConn
	ctx      *requestContext
	response *response
	began    time.Time
	left     int64
	chunked  io.Reader
	waits    bool // for 100 Continue
	ended    bool
	err      error
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.ended:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if b.waits {
		b.waits = false
		if err := b.response.inform(http.StatusContinue, nil); err != nil {
			b.err = err
			return 0, err
		}
	}
	if int64(b.conn.in.Buffered()) < max(b.left, 1) {
		b.conn.readUntil(b.began, b.conn.server.Limits.Read)
	}
	n, err := b.read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.finish()
	case err != nil:
		b.err = err
	}
	return n, err
}

func (b *requestBody) read(p []byte) (int, error) {
	if b.chunked != nil {
		n, err := b.chunked.Read(p)
		if errors.Is(err, io.EOF) && !emptyLine(b.conn.in) {
			err = errMalformed
		}
		return n, err
	}
	n, err := b.conn.in.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	switch {
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case err == nil && b.left == 0:
		err = io.EOF
	}
	return n, err
}

func (b *requestBody) finish() {
	b.ended = true
	b.ctx.bodyEnded()
}

// Close implements io.Closer.
func (b *requestBody) Close() error { return nil }

// maxDiscard of a body that its handler did not read, before the connection is closed
// instead.
const maxDiscard = 64 << 10

// discard reads what is left of the body, and says whether the next request follows.
func (b *requestBody) discard() bool {
	if b.ended {
		return true
	}
	if b.err != nil || b.waits || b.left > maxDiscard {
		return false
	}
	_, err := io.CopyN(io.Discard, b, maxDiscard+1)
	return errors.Is(err, io.EOF) && b.ended
}
