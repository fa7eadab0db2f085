package http1_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
	"ecommerce-stack.dev/services/gateway/internal/eventloop/eventlooptest"
	"ecommerce-stack.dev/services/gateway/internal/http1"
)

// fast serves plain requests with f and all others with "handler", on event loops and then
// in goroutines.
func fast(t *testing.T, f func(*http1.Plain) bool, test func(t *testing.T, address string, s *http1.Server)) {
	t.Helper()
	for _, name := range []string{"loops", "goroutines"} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := &http1.Server{Limits: limits, Log: slog.New(slog.DiscardHandler), Fast: f,
				Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "handler") })}
			if name == "loops" {
				s.Loops = eventlooptest.Start(t)
			}
			ended := make(chan struct{})
			go func() { defer close(ended); _ = s.Serve(l) }()
			t.Cleanup(func() { _ = s.Close(); <-ended })
			test(t, l.Addr().String(), s)
		})
	}
}

// say answers a plain request with text.
func say(p *http1.Plain, text string) bool {
	p.Send(p.Finish(http1.AppendField(p.Answer(http.StatusOK), "Content-Type", "text/plain"), false, len(text)), []byte(text))
	return true
}

func TestAPlainRequestIsWhatItsBytesSay(t *testing.T) {
	t.Parallel()
	fast(t, func(p *http1.Plain) bool {
		text := fmt.Sprintf("%s %s?%s %s %v %q %v", p.Method, p.Path, p.Query, p.Host, p.Fields, p.Body, p.Peer())
		return say(p, text)
	}, func(t *testing.T, address string, _ *http1.Server) {
		for raw, want := range map[string]string{
			"GET /a/b-c?x=1&y=~ HTTP/1.1\r\nhost: shop:1\r\naccept:  */* \r\nAccept: b\r\n\r\n":    `GET /a/b-c?x=1&y=~ shop:1 [{Accept */*} {Accept b}] "" 127.0.0.1`,
			"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nhi": `POST /a? x [] "hi" 127.0.0.1`,
			"DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n":                            `DELETE /? x [] "" 127.0.0.1`,
		} {
			for i, got := range answers(t, address, raw+raw, 2) { // the next one is read where this one ends
				if got != "200 close=false "+want {
					t.Errorf("%q, answer %d: %q", raw, i, got)
				}
			}
		}
		both := "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n"
		if got := answers(t, address, both, 2); len(got) != 2 || !strings.HasPrefix(got[0], "200 close=true ") || got[1] != "end" {
			t.Errorf("a connection that is to be closed and kept: %q", got)
		}
		for name, raw := range map[string]string{
			"HEAD": "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS": "OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n",
			"an unknown method": "BREW / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.0": "GET / HTTP/1.0\r\nHost: x\r\n\r\n",
			"an escape": "GET /%61 HTTP/1.1\r\nHost: x\r\n\r\n", "an escape in the query": "GET /?a=%20 HTTP/1.1\r\nHost: x\r\n\r\n",
			"an empty query": "GET /? HTTP/1.1\r\nHost: x\r\n\r\n", "the absolute form": "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
			"chunks":      "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
			"Expect":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
			"Upgrade":     "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n",
			"Connection":  "GET / HTTP/1.1\r\nHost: x\r\nConnection: x-a\r\n\r\n",
			"a long body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("a", 20000),
		} {
			if got := answers(t, address, raw, 1); len(got) != 1 || strings.Contains(got[0], "127.0.0.1") {
				t.Errorf("%s is plain: %q", name, got)
			}
		}
		for _, raw := range []string{"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
			"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na"} {
			if got := answers(t, address, raw, 1); len(got) != 1 || !strings.HasPrefix(got[0], "400 close=true") {
				t.Errorf("%q: %q, want 400", raw, got)
			}
		}
	})
}

// TestABodyIsNeverTheNextRequest has a body that reads like a request, and fast paths that
// answer without looking at it.
func TestABodyIsNeverTheNextRequest(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*http1.Plain) bool{
		"at once":      func(p *http1.Plain) bool { return say(p, p.Path) },
		"as a handler": func(p *http1.Plain) bool { w, r := p.HTTP(); _, _ = io.WriteString(w, r.URL.Path); return true },
		"later": func(p *http1.Plain) bool {
			<-time.After(time.Until(p.Began.Add(time.Millisecond)))
			_ = p.Context()
			return say(p, p.Path)
		},
	} {
		fast(t, answer, func(t *testing.T, address string, _ *http1.Server) {
			hidden := "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
			raw := fmt.Sprintf("POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%sGET /next HTTP/1.1\r\nHost: x\r\n\r\n", len(hidden), hidden)
			got := answers(t, address, raw, 2)
			if len(got) != 2 || got[0] != "200 close=false /open" || got[1] != "200 close=false /next" {
				t.Errorf("%s: %q", name, got)
			}
		})
	}
}

func TestALargeAnswerOfTheFastPathIsWhole(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("0123456789", 100_000)
	fast(t, func(p *http1.Plain) bool { return say(p, large) }, func(t *testing.T, address string, _ *http1.Server) {
		for i, got := range answers(t, address, strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 3), 3) {
			if got != "200 close=false "+large {
				t.Errorf("answer %d has %d bytes: %.40q", i, len(got), got)
			}
		}
	})
}

func TestTheFastPathMayDecline(t *testing.T) {
	t.Parallel()
	fast(t, func(p *http1.Plain) bool { return p.Path == "/fast" && say(p, "fast") }, func(t *testing.T, address string, _ *http1.Server) {
		raw := "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\naGET /fast HTTP/1.1\r\nHost: x\r\n\r\n"
		for i, got := range answers(t, address, raw+raw, 4) {
			if want := []string{"200 close=false handler", "200 close=false fast"}[i%2]; got != want {
				t.Errorf("answer %d: %q, want %q", i, got, want)
			}
		}
	})
}

func TestAPlainRequestBeginsWhenItsHeadIsHere(t *testing.T) {
	t.Parallel()
	began := make(chan time.Time, 1)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := telling{inner, make(chan struct{}, 8)}
	s := &http1.Server{Limits: limits, Log: slog.New(slog.DiscardHandler), Fast: func(p *http1.Plain) bool {
		began <- p.Began
		return say(p, "fast")
	}}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-ended })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHo")
	for _, limit := range []string{"for a request to come", "for the rest of its head"} {
		select {
		case <-l.deadlines:
		case <-time.After(20 * time.Second):
			t.Fatalf("no limit %s is set", limit)
		}
	}
	rest := time.Now()
	_, _ = io.WriteString(c, "st: x\r\nConnection: close\r\n\r\n")
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Fatal(err)
	}
	if at := <-began; at.Before(rest) {
		t.Errorf("it began %s before the rest of its head was sent", rest.Sub(at))
	}
}

// telling tells of each deadline that its connections get for reading.
type telling struct {
	net.Listener
	deadlines chan struct{}
}

func (l telling) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return told{c, l.deadlines}, err
}

type told struct {
	net.Conn
	deadlines chan struct{}
}

func (c told) SetReadDeadline(t time.Time) error {
	err := c.Conn.SetReadDeadline(t)
	c.deadlines <- struct{}{}
	return err
}

// valued gives a context itself as a key and a value.
type valued struct{}

func (valued) Of(ctx context.Context) context.Context {
	return context.WithValue(ctx, valued{}, "value")
}

func TestAPlainRequestCanBeAnsweredAsAHandlerDoes(t *testing.T) {
	t.Parallel()
	cause := errors.New("over")
	fast(t, func(p *http1.Plain) bool {
		p.Within(time.Minute, cause, valued{})
		p.Leave()
		w, r := p.HTTP()
		deadline, ok := p.Context().Deadline()
		fmt.Fprintf(w, "%s %s %s %v %v", r.Method, r.URL, r.Header.Get("X-A"), r.Context().Value(valued{}), ok && time.Until(deadline) > 50*time.Second)
		return true
	}, func(t *testing.T, address string, _ *http1.Server) {
		raw := "PUT /a?b=c HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc"
		for i, got := range answers(t, address, raw+raw, 2) {
			if got != "200 close=false PUT /a?b=c 1 value true" {
				t.Errorf("answer %d: %q", i, got)
			}
		}
		last := strings.Replace(raw, "X-A: 1", "X-A: 1\r\nConnection: close", 1)
		if got := answers(t, address, last, 2); len(got) != 2 || got[0] != "200 close=true PUT /a?b=c 1 value true" || got[1] != "end" {
			t.Errorf("the last one: %q", got)
		}
	})
}

func TestTheContextOfAPlainRequestEndsWithItsClient(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}, 1), make(chan error, 1)
	fast(t, func(p *http1.Plain) bool {
		begun <- struct{}{}
		<-p.Context().Done() // with a body that nobody has read
		if eventloop.Of(p.Context()).On() {
			t.Error("a task waits on its loop for the end of a context")
		}
		left <- p.Context().Err()
		return say(p, "")
	}, func(t *testing.T, address string, _ *http1.Server) {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
		<-begun
		_ = c.Close()
		select {
		case err := <-left:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("it did not end")
		}
	})
}

func TestAPanicOnTheFastPathEndsItsConnectionOnly(t *testing.T) {
	t.Parallel()
	fast(t, func(p *http1.Plain) bool {
		if p.Path == "/panic" {
			panic("on purpose")
		}
		return say(p, "fine")
	}, func(t *testing.T, address string, _ *http1.Server) {
		if got := answers(t, address, "GET /panic HTTP/1.1\r\nHost: x\r\n\r\n", 1); len(got) != 1 || got[0] != "end" {
			t.Errorf("a panic: %q", got)
		}
		if got := answers(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 1); len(got) != 1 || got[0] != "200 close=false fine" {
			t.Errorf("after it: %q", got)
		}
	})
}

func TestAStoppingServerTellsPlainRequestsThatTheyAreTheLast(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 1), make(chan struct{}, 1)
	fast(t, func(p *http1.Plain) bool {
		p.Leave()
		begun <- struct{}{}
		<-release
		return say(p, "done")
	}, func(t *testing.T, address string, s *http1.Server) {
		var group sync.WaitGroup
		group.Go(func() {
			if got := answers(t, address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2); len(got) != 2 || got[0] != "200 close=true done" || got[1] != "end" {
				t.Errorf("in hand: %q", got)
			}
		})
		<-begun
		down := make(chan error)
		go func() { down <- s.Shutdown(t.Context()) }()
		for { // until Shutdown has begun
			c, err := net.Dial("tcp", address)
			if err != nil {
				break
			}
			_ = c.Close()
		}
		release <- struct{}{}
		if err := <-down; err != nil {
			t.Error(err)
		}
		group.Wait()
	})
}

// TestAClientOfManyRequestsLeavesOthersTheirTurn has two clients on one loop. The first
// sends many requests at once, and the second its own while the first of them is answered.
func TestAClientOfManyRequestsLeavesOthersTheirTurn(t *testing.T) {
	t.Parallel()
	const many = 200
	var answered atomic.Int64
	begun, sent, before := make(chan struct{}, 1), make(chan struct{}, 1), make(chan int64, 1)
	fast(t, func(p *http1.Plain) bool {
		switch p.Path {
		case "/other":
			before <- answered.Load()
		case "/many":
			if answered.Add(1) == 1 {
				begun <- struct{}{}
				<-sent
			}
		}
		return say(p, "fine")
	}, func(t *testing.T, address string, s *http1.Server) {
		answered.Store(0)
		var conns []net.Conn // on the first loop, the second, and the first again
		for range 3 {
			c, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			if _, err := c.Read(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		_, _ = io.WriteString(conns[0], strings.Repeat("GET /many HTTP/1.1\r\nHost: x\r\n\r\n", many))
		<-begun
		_, _ = io.WriteString(conns[2], "GET /other HTTP/1.1\r\nHost: x\r\n\r\n")
		sent <- struct{}{}
		if n := <-before; n == many && s.Loops != nil {
			t.Errorf("the other client came after all %d requests of the first", n)
		}
	})
}

// TestAConnectionThatCannotBeOnALoopIsNotUsed dials what has no descriptor. A loop would wait
// in it for one, with all that are on it.
func TestAConnectionThatCannotBeOnALoopIsNotUsed(t *testing.T) {
	t.Parallel()
	loops := eventlooptest.Start(t)
	if loops == nil {
		return // Nothing is adopted where there are no loops.
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	_ = theirs.SetDeadline(time.Now().Add(20 * time.Second))
	transport := &http1.Transport{MaxIdle: 4, IdleTimeout: time.Minute, MaxHeader: 64 << 10, Loops: loops,
		Dial: func(context.Context) (net.Conn, error) { return ours, nil }}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := transport.RoundTrip(r); !errors.Is(err, errors.ErrUnsupported) {
		if err == nil {
			_ = res.Body.Close()
		}
		t.Errorf("it was used: %v", err)
	}
	if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("it is left open: %v", err)
	}
}

// TestAReplyIsRelayed has a server pass plain requests on to another one of ours.
func TestAReplyIsRelayed(t *testing.T) {
	t.Parallel()
	origin, _ := listen(t, http.HandlerFunc(echo), limits)
	for _, looped := range []bool{true, false} {
		transport := &http1.Transport{MaxIdle: 4, IdleTimeout: time.Minute, MaxHeader: 64 << 10}
		var dials atomic.Int64
		transport.Dial = func(ctx context.Context) (net.Conn, error) {
			if eventloop.Of(ctx).On() {
				return nil, errors.New("a loop waits for a connection that is not there yet")
			}
			dials.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", origin)
		}
		t.Cleanup(transport.CloseIdleConnections)
		if looped {
			transport.Loops = eventlooptest.Start(t)
		}
		relay := func(p *http1.Plain) bool {
			request := "GET " + p.Path + " HTTP/1.1\r\nHost: origin\r\n\r\n"
			p.Take()
			p.Within(10*time.Second, errors.New("over"), nil)
			reply, err := transport.Relay(p, []byte(request), time.Now())
			if err != nil {
				return say(p, err.Error())
			}
			body, whole := reply.Whole()
			text := fmt.Sprintf("%d %v %d %v", reply.Status, whole, len(body), len(reply.Fields))
			reply.Done()
			return say(p, text)
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &http1.Server{Limits: limits, Log: slog.New(slog.DiscardHandler), Fast: relay, Loops: transport.Loops}
		ended := make(chan struct{})
		go func() { defer close(ended); _ = s.Serve(l) }()
		t.Cleanup(func() { _ = s.Close(); <-ended })
		got := answers(t, l.Addr().String(), strings.Repeat("GET /abc HTTP/1.1\r\nHost: x\r\n\r\n", 5), 5)
		for i, answer := range got {
			if answer != got[0] || !strings.HasPrefix(answer, "200 close=false 200 true ") {
				t.Errorf("loops %v, answer %d: %q, the first %q", looped, i, answer, got[0])
			}
		}
		if n := dials.Load(); n != 1 || len(got) != 5 {
			t.Errorf("loops %v: %d connections for %d answers", looped, n, len(got))
		}
	}
}
