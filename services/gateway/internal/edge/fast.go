package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"runtime/debug"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/client"
	"ecommerce-stack.dev/services/gateway/internal/compression"
	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/problem"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// fast is a plain request on its short way: its route passes it on or its answer is
// kept, its caller may do this and is within the limits. Whatever else there is to say
// to a request, ServeHTTP says; both answer alike, and a test that tries everything on
// both says so.
type fast struct {
	*http1.Plain
	edge    *Edge
	route   *route.Route
	decided limit.Decision // its Limit is 0 without one
	address netip.Addr
	kept    cache.Result // if the answer is kept

	authorization, requestID, trace string
	accepted                        bool // gzip
	status, bytes                   int  // of the answer
}

// Fast answers p as ServeHTTP would behind the server's middleware, or says that it has
// done nothing.
func (e *Edge) Fast(p *http1.Plain) (taken bool) {
	f := fast{Plain: p, edge: e}
	if !f.find() || !f.read() || f.route.Cache != nil && !f.look() || !f.admit() {
		return false
	}
	if !telemetry.ValidRequestID(f.requestID) {
		f.requestID = telemetry.NewRequestID()
	}
	f.trace = telemetry.ChildTraceParent(f.trace)
	e.Observer.Began()
	taken = true // whatever comes
	defer f.end()
	if f.route.Cache != nil {
		f.recall()
	} else {
		f.pass()
	}
	return taken
}

// end tells the observer, also of a panic, which it survives as the server's does.
func (f *fast) end() {
	reason := recover()
	err, _ := reason.(error)
	aborted := errors.Is(err, http.ErrAbortHandler)
	if reason != nil && !aborted {
		f.edge.Log.ErrorContext(f.Of(context.Background()), "panic", "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
		if aborted = f.status != 0; !aborted {
			f.refuse(errors.New("panic"))
		}
	}
	if f.status == 0 {
		f.status = http.StatusOK // as it is when a handler sets none
	}
	now := time.Now()
	f.edge.Observer.Answered(telemetry.Request{Method: f.Method, Route: f.route.Path,
		Path: f.Path, Status: f.status, Bytes: f.bytes, Took: now.Sub(f.Began), At: now, Client: f.Remote(),
		RequestID: f.requestID, TraceParent: f.trace})
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

// find looks for a route whose answers begin soon.
func (f *fast) find() bool {
	for i := range f.edge.pages {
		if f.edge.pages[i].at(f.Path) {
			return false
		}
	}
	m, _ := f.edge.table.Load().Match(f.Method, f.Path)
	f.route = m.Route
	return m.Route != nil && !m.Route.Stream && f.edge.Upstreams[m.Route.Upstream].Relays()
}

// read finds in the fields what the gateway looks at, and says whether all of it is for
// this way. Of several lines of a name the first counts, which the handler knows.
func (f *fast) read() bool {
	var hops []string
	var encodings string
	var seen uint
	once := func(bit uint, to *string, value string) bool {
		first := seen&bit == 0
		seen |= bit
		*to = value
		return first
	}
	for _, field := range f.Fields {
		ok := true
		switch field.Name {
		case "Authorization":
			ok = once(1, &f.authorization, field.Value)
		case server.RequestIDHeader:
			ok = once(2, &f.requestID, field.Value)
		case server.TraceParentHeader:
			ok = once(4, &f.trace, field.Value)
		case "Accept-Encoding":
			ok = once(8, &encodings, field.Value)
		case "X-Forwarded-For":
			if len(f.edge.Proxies) > 0 {
				hops = append(hops, field.Value)
			}
		case "Origin":
			ok = len(f.edge.Origins) == 0
		case "If-Match", "If-None-Match":
			ok = f.route.Cache == nil && compression.Plain(field.Value) == field.Value
		case "Prefer":
			ok = false
		}
		if !ok {
			return false
		}
	}
	f.accepted = seen&8 != 0 && compression.Preferred(encodings)
	f.address = f.edge.Proxies.Behind(f.Peer(), hops)
	return true
}

// look finds an answer that is kept.
func (f *fast) look() bool {
	key, ok := simpleKey(f.route, f.Path, f.Query)
	if !ok || len(f.Body) > 0 {
		return false
	}
	f.kept, ok = f.edge.Cache.Kept(key)
	return ok && f.kept.Ready(f.accepted && !personal(f.Path))
}

// admit is Edge.admit where nobody is refused.
func (f *fast) admit() bool {
	key := limit.Key{Addr: client.Subscriber(f.address)}
	if !f.route.Access.Public {
		// Others are verified by the handler: to verify may take long, and to refuse twice.
		caller, known := f.edge.Verifier.Known(f.Began, f.authorization, f.route.Access.Roles...)
		if !known {
			return false
		}
		if f.route.Limit != route.LimitLogin {
			key = limit.Key{User: caller.UserID}
		}
	}
	if limiter := f.edge.Limits[f.route.Limit]; limiter != nil {
		f.decided = limiter.AllowAt(f.Began, key)
		return f.decided.Allowed // A call that is refused does not count, so it may be refused again.
	}
	return true
}

// pass passes the request on.
func (f *fast) pass() {
	u := f.edge.Upstreams[f.route.Upstream]
	reply, err := u.Relay(f.Plain, proxy.Relayed{Timeout: f.route.Timeout, Client: f.address, RequestID: f.requestID, TraceParent: f.trace,
		Values: f})
	if err != nil {
		f.refuse(err)
		return
	}
	defer u.Release()
	if f.route.Changes && reply.Status < http.StatusMultipleChoices {
		f.Leave() // It may be a lot.
		f.edge.Cache.Drop()
	}
	if !f.copy(reply) {
		f.give(u, reply)
	}
}

// Of implements http1.Values: what takes long has the ids of the request.
func (f *fast) Of(ctx context.Context) context.Context {
	return telemetry.Begin(ctx, f.requestID, f.trace)
}

// copy answers with a reply whose fields and body go to the client as they are. It is
// false for another one.
func (f *fast) copy(reply *http1.Reply) bool {
	body, whole := reply.Whole()
	if !whole || reply.Status < http.StatusOK || reply.Status == http.StatusNoContent || reply.Status == http.StatusNotModified {
		return false
	}
	if f.accepted && len(body) >= compression.MinSize && !personal(f.Path) {
		return false
	}
	b := f.vary(f.Answer(reply.Status))
	var dated, typed bool
	var theirs uint
	for _, field := range reply.Fields {
		kept, ok := proxy.Kept(field)
		if !ok {
			return false
		}
		switch field.Name {
		case "Date":
			dated = true
		case "Content-Type":
			typed = true
		case "Ratelimit-Limit", "Ratelimit-Remaining", "Ratelimit-Reset":
			return false // They take the place of ours.
		}
		theirs |= hardens(field.Name)
		if kept {
			b = http1.AppendField(b, field.Name, field.Value)
		}
	}
	if !typed && len(body) > 0 {
		return false
	}
	b = f.own(b, theirs)
	f.status, f.bytes = reply.Status, len(body)
	// The body is in the buffer of a connection that Done gives to others.
	b = append(f.Finish(b, dated, len(body)), body...)
	reply.Done()
	f.Send(b, nil)
	return true
}

// hardens is the bit of a field in server.Hardening, 0 for another one.
func hardens(name string) uint {
	for i := range server.Hardening {
		if server.Hardening[i].Name == name {
			return 1 << i
		}
	}
	return 0
}

// vary writes what the choice of an answer depends on here; a service may add to it.
func (f *fast) vary(b []byte) []byte {
	if !personal(f.Path) {
		b = http1.AppendField(b, "Vary", varies[0])
	}
	if len(f.edge.Origins) > 0 {
		b = http1.AppendField(b, "Vary", "Origin")
	}
	return b
}

// own writes the other fields that each answer has, but those that theirs has.
func (f *fast) own(b []byte, theirs uint) []byte {
	b = http1.AppendField(b, server.RequestIDHeader, f.requestID)
	b = http1.AppendField(b, server.TraceParentHeader, f.trace)
	for i := range server.Hardening {
		if theirs&(1<<i) == 0 {
			b = http1.AppendField(b, server.Hardening[i].Name, server.Hardening[i].Value)
		}
	}
	if f.decided.Limit > 0 {
		b = f.decided.Append(b)
	}
	return b
}

// recall answers with the answer that is kept.
func (f *fast) recall() {
	f.edge.Cache.Hit()
	b, body := f.kept.Append(f.vary(f.Answer(f.kept.Answer.Status)), f.accepted && !personal(f.Path))
	b = f.own(b, hardens("Cache-Control"))
	f.status, f.bytes = f.kept.Answer.Status, len(body)
	f.Send(f.Finish(b, false, len(body)), body)
}

// give answers with a reply as ServeHTTP does.
func (f *fast) give(u *proxy.Upstream, reply *http1.Reply) {
	f.Leave() // It may take a while.
	w, r := f.answer()
	if f.accepted && !personal(f.Path) {
		packed := compression.NewWriter(w, r)
		u.Give(packed, r, reply)
		_ = packed.Close() // the client may be gone
		return
	}
	u.Give(w, r, reply)
}

// refuse answers with an error.
func (f *fast) refuse(err error) {
	f.Leave()
	w, r := f.answer()
	p := problem.From(err)
	p.Log(r.Context(), f.edge.Log)
	problem.Write(w, r, p)
}

// answer begins an answer as the server and ServeHTTP do.
func (f *fast) answer() (http.ResponseWriter, *http.Request) {
	w, r := f.HTTP()
	h := w.Header()
	h[server.RequestIDHeader], h[server.TraceParentHeader] = []string{f.requestID}, []string{f.trace}
	server.Harden(h)
	if !personal(f.Path) {
		h["Vary"] = varies
	}
	f.edge.Origins.allow(h, r, "")
	if f.decided.Limit > 0 {
		f.decided.Write(h)
	}
	return counted{w, f}, r
}

// counted notes what is answered.
type counted struct {
	http.ResponseWriter
	of *fast
}

// WriteHeader implements http.ResponseWriter.
func (c counted) WriteHeader(status int) {
	if c.of.status == 0 && status >= http.StatusOK {
		c.of.status = status
	}
	c.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.of.bytes += n
	return n, err
}
