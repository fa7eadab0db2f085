package proxy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/services/internal/deadline"
	"ecommerce-stack.dev/services/internal/problem"
)

// service responds to requests with raw bytes.
type service struct {
	*Upstream
	connections atomic.Int64
	requests    chan *http.Request
}

// serve starts a service on a loopback port that responds to the nth request on a
// connection, from 0, by writing to the connection; it closes that if respond is false.
func serve(t *testing.T, respond func(w io.Writer, r *http.Request, n int) bool) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	s := &service{requests: make(chan *http.Request, 100)}
	s.Upstream = NewUpstream("sales", &url.URL{Scheme: "http", Host: l.Addr().String()}, semaphore.NewWeighted(8<<20), NewMetrics(prometheus.NewRegistry()))
	t.Cleanup(s.Close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.connections.Add(1)
			go func() {
				defer c.Close()
				in := bufio.NewReader(c)
				for n := 0; ; n++ {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					r.Body = io.NopCloser(strings.NewReader(string(body)))
					s.requests <- r
					if !respond(c, r, n) {
						return
					}
				}
			}()
		}
	}()
	return s
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// always responds with the same bytes, and keeps the connection.
func always(response string) func(io.Writer, *http.Request, int) bool {
	return func(w io.Writer, _ *http.Request, _ int) bool {
		_, err := io.WriteString(w, response)
		return err == nil
	}
}

// send forwards a request.
func (s *service) send(method, body string, c Call, headers ...string) (resp *fasthttp.Response, buffered int64, err error) {
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI("/sales?a=b%20c")
	req.Header.SetHost("shop.example")
	req.SetBodyString(body)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(&req, nil, nil)
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	c.Began = time.Now()
	buffered, err = s.Forward(ctx, c)
	return &ctx.Response, buffered, err
}

func TestConnectionsArePooledOnlyAfterCompleteResponse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, response string
		connections      int64
	}{
		"a whole response":         {"GET", ok, 1},
		"chunks":                   {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 1},
		"no content":               {"DELETE", "HTTP/1.1 204 No Content\r\n\r\n", 1},
		"HEAD":                     {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", 3},
		"bytes after the response": {"GET", ok + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL", 3},
		"a body of a 204":          {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nEVIL", 3},
		"close":                    {"GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 3},
	} {
		s := serve(t, always(c.response))
		for range 3 {
			resp, _, err := s.send(c.method, "", Call{})
			if err != nil || strings.Contains(string(resp.Body()), "EVIL") {
				t.Errorf("%s: got %q, %v", name, resp.Body(), err)
			}
		}
		if n := s.connections.Load(); n != c.connections {
			t.Errorf("%s: 3 calls used %d connections, want %d", name, n, c.connections)
		}
	}
}

func TestWriteIsNotSentOnClosedPooledConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w io.Writer, r *http.Request, n int) bool {
		always(ok)(w, r, n)
		return false
	})
	for range 20 {
		if _, _, err := s.send("POST", "{}", Call{}); err != nil {
			t.Fatal(err)
		}
		idle, err := s.client.AcquireConn(time.Second, false) // waits for the end of the connection
		if err != nil {
			t.Fatal(err)
		}
		if _, err := idle.Conn().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Fatalf("the service did not close the connection: %v", err)
		}
		s.client.ReleaseConn(idle)
	}
}

func TestForwardedRequestHasNewFramingAndDeadline(t *testing.T) {
	t.Parallel()
	s := serve(t, always(ok))
	before := time.Now()
	_, _, err := s.send("POST", "{}", Call{Timeout: 20 * time.Second, Address: netip.MustParseAddr("203.0.113.7"), Secure: true, Cookies: []string{"device"}},
		deadline.Header, "1", "Connection", "X-Hop, Content-Length, Host", "X-Hop", "1", "Cookie", "other=1; device=x; more=2", "Via", "1.0 fred")
	if err != nil {
		t.Fatal(err)
	}
	r := <-s.requests
	if body, _ := io.ReadAll(r.Body); string(body) != "{}" || r.ContentLength != 2 || r.URL.RequestURI() != "/sales?a=b%20c" || r.Host != s.host {
		t.Errorf("the service received %q, length %d, target %s, host %s", body, r.ContentLength, r.URL.RequestURI(), r.Host)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example", "X-Hop": "", "Cookie": "device=x",
	} {
		if got := r.Header.Values(name); strings.Join(got, "|") != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := r.Header.Values("Via"); strings.Join(got, ", ") != "1.0 fred, "+via {
		t.Errorf("Via is %q", got)
	}
	until, valid := deadline.Parse(r.Header.Get(deadline.Header))
	if late := until.Sub(before); !valid || len(r.Header.Values(deadline.Header)) != 1 || late < 19*time.Second || late > 21*time.Second {
		t.Errorf("%s is %q, want one in 20 s", deadline.Header, r.Header.Values(deadline.Header))
	}
}

func TestGETAndHEADAreForwardedWithoutBody(t *testing.T) {
	t.Parallel()
	s := serve(t, always(ok))
	for _, method := range []string{"GET", "HEAD"} {
		if _, _, err := s.send(method, "", Call{}, "Content-Length", "40"); err != nil {
			t.Fatal(err)
		}
		if r := <-s.requests; r.ContentLength != 0 || r.Header.Get("Content-Length") != "" {
			t.Errorf("%s: the service expects %d bytes", method, r.ContentLength)
		}
	}
}

func TestLongRunningAndOrdinaryCallsHaveSeparateLimits(t *testing.T) {
	t.Parallel()
	for _, longRunning := range []bool{true, false} {
		s := serve(t, always(ok))
		for {
			if _, err := s.acquire(longRunning); err != nil {
				break
			}
		}
		for _, of := range []bool{true, false} {
			ended := false
			_, _, err := s.send("GET", "", Call{LongRunning: of, Ended: func() { ended = true }})
			if refused := err != nil; refused != (of == longRunning) || !ended {
				t.Errorf("at the limit of longRunning=%v, a call of longRunning=%v: got %v, ended %v", longRunning, of, err, ended)
			}
		}
	}
}

// chunks returns a response of n bytes in chunks.
func chunks(n int) string {
	var b strings.Builder
	b.WriteString("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
	for n > 0 {
		size := min(n, 10_000)
		fmt.Fprintf(&b, "%x\r\n%s\r\n", size, strings.Repeat("x", size))
		n -= size
	}
	return b.String() + "0\r\n\r\n"
}

func sized(n int) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
}

func TestLargeResponseUsesSharedBuffers(t *testing.T) {
	t.Parallel()
	for _, response := range []func(int) string{chunks, sized} {
		for size, want := range map[int]int64{
			1: 0, SmallResponse - 1: 0, SmallResponse + 1: bufferStep, 600 << 10: 3 * bufferStep, maxResponse - 1: maxResponse,
		} {
			s := serve(t, always(response(size)))
			resp, buffered, err := s.send("GET", "", Call{})
			if err != nil || len(resp.Body()) != size || buffered != want {
				t.Errorf("%d bytes: got %d bytes, %d buffered, %v; want %d buffered", size, len(resp.Body()), buffered, err, want)
			}
			if s.ordinary.count.Load() != 0 {
				t.Error("the call still counts as in flight")
			}
			s.buffers.Release(buffered)
			if !s.buffers.TryAcquire(8 << 20) {
				t.Errorf("%d bytes: buffers are lost", size)
			}
		}
		s := serve(t, always(response(maxResponse+1)))
		if _, buffered, err := s.send("GET", "", Call{}); problem.From(err).Status != 503 || buffered != 0 {
			t.Errorf("more than the maximum: got %v, %d buffered", err, buffered)
		}
		if !s.breaker.IsClosed() || !s.buffers.TryAcquire(8<<20) {
			t.Error("more than the maximum: the breaker opened, or buffers are lost")
		}
		if _, buffered, err := s.send("GET", "", Call{}); problem.From(err).Status != 503 || buffered != 0 {
			t.Errorf("without buffers: got %v, %d buffered, want 503", err, buffered)
		}
	}
}

func TestCallTimesOutAfterGracePeriod(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	s := serve(t, func(io.Writer, *http.Request, int) bool { <-stop; return false })
	for _, method := range []string{"GET", "POST"} {
		began := time.Now()
		_, _, err := s.send(method, "", Call{Timeout: 10 * time.Millisecond})
		if p := problem.From(err); p.Status != 503 || p.Code != "timeout" {
			t.Errorf("%s: got %v, want 503 timeout", method, err)
		}
		if took := time.Since(began); took < deadlineGrace {
			t.Errorf("%s: ended after %s, before the grace period", method, took)
		}
	}
	if n := s.connections.Load(); n != 2 {
		t.Errorf("%d calls were made, want 2: there was no time for another", n)
	}
}

func TestReadsAreRetriedAndWritesAreNot(t *testing.T) {
	t.Parallel()
	s := serve(t, func(io.Writer, *http.Request, int) bool { return false })
	for method, want := range map[string]int64{"GET": 1 + retries, "HEAD": 1 + retries, "POST": 1, "DELETE": 1, "PUT": 1} {
		before := s.connections.Load()
		if _, _, err := s.send(method, "", Call{}); problem.From(err).Status != 503 || !errors.Is(err, errNoResponse) {
			t.Errorf("%s: got %v", method, err)
		}
		if n := s.connections.Load() - before; n != want {
			t.Errorf("%s was sent %d times, want %d", method, n, want)
		}
	}
}
