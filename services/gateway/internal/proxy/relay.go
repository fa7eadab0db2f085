package proxy

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/internal/server"
)

// Relayed says how a plain request is passed on.
type Relayed struct {
	Timeout time.Duration
	// Client is the address to name in X-Forwarded-For.
	Client                 netip.Addr
	RequestID, TraceParent string
	// Values of the context of a call that takes long.
	Values http1.Values
}

// Relays says whether Relay can reach the upstream.
func (u *Upstream) Relays() bool {
	_, ok := u.round.(*http1.Transport)
	return ok
}

var requests = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// Relay passes a plain request on as Forward does, by copying its fields instead of
// making them up anew. Without an error, which is what to tell the client, the reply has
// to be given, and then Release called.
func (u *Upstream) Relay(p *http1.Plain, r Relayed) (*http1.Reply, error) {
	if err := u.enter(false); err != nil {
		return nil, err
	}
	pooled := requests.Get().(*[]byte)
	defer requests.Put(pooled)
	request := u.appendRequest((*pooled)[:0], p, r)
	*pooled = request[:0]
	p.Take()
	p.Within(r.Timeout, errTimeout, r.Values)
	reply, err := u.relay(p, request)
	if err != nil {
		u.leave(false)
	}
	return reply, err
}

// Release says that a reply was given.
func (u *Upstream) Release() { u.leave(false) }

// relay is send for a request that is written out.
func (u *Upstream) relay(p *http1.Plain, request []byte) (*http1.Reply, error) {
	transport, began := u.round.(*http1.Transport), p.Began // A moment ago.
	for attempt := 0; ; attempt++ {
		if told := u.permit(); told != nil {
			return nil, told
		}
		reply, err := transport.Relay(p, request, began)
		if err == nil {
			u.breaker.RecordSuccess()
			return reply, nil
		}
		if again, told := u.failed(p.Context(), p.Method, err, began, false, attempt); !again {
			return nil, told
		}
		began = time.Now()
	}
}

// appendRequest writes what outgoing makes.
func (u *Upstream) appendRequest(b []byte, p *http1.Plain, r Relayed) []byte {
	b = append(append(append(b, p.Method...), ' '), p.Path...)
	if p.Query != "" {
		b = append(append(b, '?'), p.Query...)
	}
	b = http1.AppendField(append(b, " HTTP/1.1\r\n"...), "Host", u.base.Host)
	for _, f := range p.Fields {
		switch {
		case endsHere(f.Name), f.Name == server.RequestIDHeader, f.Name == server.TraceParentHeader, f.Name == "User-Agent" && f.Value == "":
		default:
			b = http1.AppendField(b, f.Name, f.Value)
		}
	}
	b = http1.AppendField(b, server.RequestIDHeader, r.RequestID)
	b = http1.AppendField(b, server.TraceParentHeader, r.TraceParent)
	b = http1.AppendField(b, "X-Forwarded-Host", p.Host)
	if r.Client.IsValid() {
		b = append(r.Client.AppendTo(append(b, "X-Forwarded-For: "...)), "\r\n"...)
	}
	if len(p.Body) > 0 || p.Method == http.MethodPost || p.Method == http.MethodPut || p.Method == http.MethodPatch {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), int64(len(p.Body)), 10), "\r\n"...)
	}
	return append(append(b, "\r\n"...), p.Body...)
}

// Give answers with a reply that is no simple one, as Forward does.
func (u *Upstream) Give(w http.ResponseWriter, r *http.Request, reply *http1.Reply) {
	res := reply.Response(r)
	defer res.Body.Close()
	u.give(r.Context(), w, r.Method, res, false)
}

// Kept says whether a field of a reply is passed on to the client, as copyHeader does; ok
// is false for those that take more than that.
func Kept(f http1.Field) (kept, ok bool) {
	switch f.Name {
	case "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return false, true
	case server.RequestIDHeader, server.TraceParentHeader, "Content-Length":
		return false, true
	case "Connection":
		return false, strings.EqualFold(f.Value, "keep-alive") || strings.EqualFold(f.Value, "close")
	}
	return true, true
}
