package http1

import (
	"context"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Plain is a request that leaves nothing to interpret, as nearly all do: HTTP/1.1, a
// method that carries something or asks for something, a path that means itself, one
// host, a body that is here already, and no field that changes how the connection goes
// on. It is answered without being made into net/http's types, whose maps cost more
// than all the rest of passing it on. It is valid until its answer has been sent.
type Plain struct {
	Method, Path, Query, Host string
	// Fields are those that the client sent, but Host, Connection and Content-Length.
	Fields []Field
	// Body is valid until Take, which is called at the latest when the request is answered.
	Body []byte
	// Began is when the request's head was here.
	Began time.Time

	conn     *serverConn
	last     bool // the connection ends after it
	deadline time.Time
	timeout  time.Duration
	cause    error
	values   Values
	made     *late // what is made when it is needed
}

// read says whether the request whose head was read is a plain one.
func (p *Plain) read(h *head, now time.Time) bool {
	switch h.method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return false
	}
	path, query, asked := strings.Cut(h.target, "?")
	if h.minor != 1 || !plain(path) || asked && !simple(query) {
		return false
	}
	c := p.conn
	*p = Plain{Method: h.method, Path: path, Query: query, Fields: emptied(p.Fields), Began: now, conn: c}
	hosts, length := 0, -1
	for _, f := range h.fields {
		switch f.Name {
		case "Host":
			hosts++
			p.Host = f.Value
			continue
		case "Content-Length":
			if length >= 0 || len(f.Value) > 5 || f.Value == "" || f.Value[0] == '+' {
				return false
			}
			n, err := strconv.ParseUint(f.Value, 10, 31)
			if err != nil {
				return false
			}
			length = int(n)
			continue
		case "Connection":
			closes := strings.EqualFold(f.Value, "close")
			if !closes && !strings.EqualFold(f.Value, "keep-alive") {
				return false
			}
			p.last = p.last || closes
			continue
		case "Transfer-Encoding", "Expect", "Upgrade", "Te", "Trailer", "Keep-Alive", "Proxy-Connection":
			return false
		}
		p.Fields = append(p.Fields, f)
	}
	if hosts != 1 || strings.IndexFunc(p.Host, notOfHost) >= 0 || length > c.in.Buffered() {
		return false
	}
	if length > 0 {
		p.Body, _ = c.in.Peek(length) // It is there.
	}
	return true
}

// simple says that a query has no escapes and nothing but printable ASCII.
func simple(query string) bool {
	for i := range len(query) {
		if c := query[i]; c == '%' || c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return query != ""
}

// Peer is the address of the connection's other end.
func (p *Plain) Peer() netip.Addr { return p.conn.peer }

// Remote is the address and the port of the connection's other end.
func (p *Plain) Remote() string { return p.conn.remote }

// Take says that Body is not needed any more.
func (p *Plain) Take() {
	_, _ = p.conn.in.Discard(len(p.Body)) // It is all there.
	p.Body = nil
}

// Values are what a context gets when a request needs one.
type Values interface {
	Of(parent context.Context) context.Context
}

// Within bounds the time for the rest of the request, and says what Context ends with
// after it and what values it has.
func (p *Plain) Within(d time.Duration, cause error, values Values) {
	p.deadline, p.timeout, p.cause, p.values = p.Began.Add(d), d, cause, values
}

// late is what a plain request has only when something about it is not.
type late struct {
	*exchange
	context context.Context
	cancel  context.CancelFunc
	request *http.Request
}

func (p *Plain) late() *late {
	if p.made != nil {
		return p.made
	}
	p.Take() // Nobody reads the body any more, and the next request begins after it.
	ex, status := p.conn.exchange(&p.conn.head, p.Began)
	if status != 0 {
		panic("a plain request is none: " + strconv.Itoa(status))
	}
	ex.body.ended, ex.body.left = true, 0
	ex.ctx.unread = false
	ex.request.Body = http.NoBody
	p.made = &late{exchange: ex, context: &ex.ctx, cancel: func() {}}
	if p.values != nil {
		p.made.context = p.values.Of(p.made.context)
	}
	if p.timeout > 0 {
		p.made.context, p.made.cancel = WithTimeout(p.made.context, time.Until(p.deadline), p.cause)
	}
	p.made.request = ex.request.WithContext(p.made.context)
	return p.made
}

// Context ends with the request, its time, or when the client leaves. It calls Take.
func (p *Plain) Context() context.Context { return p.late().context }

// HTTP is the request, with Context and without its body, and its answer as a handler
// has them. It calls Take.
func (p *Plain) HTTP() (http.ResponseWriter, *http.Request) {
	l := p.late()
	return &l.response, l.request
}

// end ends what was made, and the answer unless that broke off.
func (p *Plain) end(whole bool) {
	l := p.made
	if l == nil {
		return
	}
	if whole && l.response.status != 0 {
		l.response.finish()
		p.last = p.last || l.response.last
	}
	l.cancel()
	l.ctx.finish()
}

// Answer begins an answer in a buffer, with its first line.
func (p *Plain) Answer(status int) []byte { return appendStatus(p.conn.out[:0], status) }

// AppendField writes a field.
func AppendField(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

// Finish ends the header of an answer that is written to its last field: with the date,
// unless it has one, and the length of the body.
func (p *Plain) Finish(b []byte, dated bool, length int) []byte {
	if !dated {
		b = AppendField(b, "Date", date(p.Began))
	}
	b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(length), 10), "\r\n"...)
	if p.last = p.last || p.conn.server.isClosing(); p.last {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

// Send sends an answer that is finished, and what is left of its body.
func (p *Plain) Send(b, rest []byte) {
	c, now := p.conn, p.Began
	if p.made != nil {
		now = time.Now() // It took long.
	}
	c.writeUntil(now, c.server.Limits.Write)
	// conn.broken says whether it failed.
	if len(rest) > maxGathered {
		_ = c.writeAll(b, rest)
	} else {
		b = append(b, rest...)
		_ = c.write(b)
	}
	c.out = b[:0]
}

// Leave is that of the connection's task.
func (p *Plain) Leave() { p.conn.task.Leave() }
