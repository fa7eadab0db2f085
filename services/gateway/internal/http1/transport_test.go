package http1_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ecommerce-stack.dev/services/gateway/internal/eventloop/eventlooptest"
	"ecommerce-stack.dev/services/gateway/internal/http1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// upstream counts the connections that are opened to it.
type upstream struct {
	*http1.Transport
	url   string
	dials atomic.Int64
}

func to(t testing.TB, address string) *upstream {
	t.Helper()
	u := &upstream{url: "http://" + address}
	u.Transport = &http1.Transport{MaxIdle: 4, IdleTimeout: time.Minute, MaxHeader: 64 << 10,
		Dial: func(ctx context.Context) (net.Conn, error) {
			u.dials.Add(1)
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}}
	t.Cleanup(u.CloseIdleConnections)
	return u
}

func serve(t testing.TB, h http.HandlerFunc) *upstream {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return to(t, s.Listener.Addr().String())
}

// says is an upstream that answers each connection with the same bytes and closes it.
func says(t testing.TB, answer string) *upstream {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(newReader(c))
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}()
	return to(t, l.Addr().String())
}

func (u *upstream) do(t testing.TB, method, path, body string, header ...string) (*http.Response, string, error) {
	t.Helper()
	r := u.request(t, t.Context(), method, path, body, header...)
	res, err := u.RoundTrip(r)
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return res, string(got), err
}

func (u *upstream) request(t testing.TB, ctx context.Context, method, path, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, u.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func TestARequestArrivesAndItsAnswerComesBack(t *testing.T) {
	t.Parallel()
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Add("X-Two", "a")
		w.Header().Add("X-Two", "b")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s %v %d %s", r.Method, r.URL, r.Host, r.Header["X-Name"], r.ContentLength, body)
	})
	host := strings.TrimPrefix(u.url, "http://")
	for _, c := range [][3]string{
		{"GET", "/a%20b?q=%C3%A9&x", ""},
		{"POST", "/", "body"},
		{"PUT", "/", ""},
		{"DELETE", "/x", ""},
		{"POST", "/large", strings.Repeat("x", 300<<10)},
	} {
		res, got, err := u.do(t, c[0], c[1], c[2], "X-Name", "1", "X-Name", "2")
		want := fmt.Sprintf("%s %s %s [1 2] %d %s", c[0], c[1], host, len(c[2]), c[2])
		if err != nil || res.StatusCode != 201 || got != want || fmt.Sprint(res.Header["X-Two"]) != "[a b]" {
			t.Errorf("%s %s: %v %.80q, want %.80q", c[0], c[1], err, got, want)
		}
	}
	if n := u.dials.Load(); n != 1 {
		t.Errorf("%d connections for one request after the other, want 1", n)
	}
}

func TestEachKindOfAnswerEndsWhereItEnds(t *testing.T) {
	t.Parallel()
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/chunked":
			for range 3 {
				_, _ = io.WriteString(w, strings.Repeat("c", 5000))
				_ = http.NewResponseController(w).Flush()
			}
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/same":
			w.WriteHeader(http.StatusNotModified)
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "final")
		case "/header":
			for i := range 400 {
				w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("v", 50))
			}
		case "/large":
			_, _ = io.WriteString(w, strings.Repeat("l", 1<<20))
		}
	})
	for range 2 {
		for path, want := range map[string]int{"/chunked": 15000, "/none": 0, "/same": 0, "/early": 5, "/header": 0, "/large": 1 << 20} {
			if res, got, err := u.do(t, "GET", path, ""); err != nil || len(got) != want || path == "/header" && len(res.Header) < 400 {
				t.Errorf("%s: %d bytes, %v, want %d", path, len(got), err, want)
			}
		}
		if res, got, err := u.do(t, "HEAD", "/large", ""); err != nil || got != "" || res.StatusCode != 200 {
			t.Errorf("HEAD: %d bytes, %v", len(got), err)
		}
	}
	if n := u.dials.Load(); n != 1 {
		t.Errorf("%d connections, want 1: a body was not read to its end", n)
	}
}

func TestAnAnswerUntilTheConnectionEndsIsWhole(t *testing.T) {
	t.Parallel()
	u := says(t, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it")
	for range 2 {
		if _, got, err := u.do(t, "GET", "/", ""); err != nil || got != "all of it" {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if n := u.dials.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

func TestMalformedAnswersAreErrors(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"nothing":             "",
		"not HTTP":            "220 mail.example.com ESMTP\r\n\r\n",
		"HTTP/2":              "HTTP/2 200 OK\r\n\r\n",
		"no status":           "HTTP/1.1 OK\r\n\r\n",
		"status of 4 digits":  "HTTP/1.1 2000 OK\r\n\r\n",
		"upgrade":             "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"two lengths":         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"length and chunks":   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"other coding":        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"negative length":     "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"plus length":         "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na",
		"length is no number": "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
		"continued line":      "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		"space before colon":  "HTTP/1.1 200 OK\r\nX-A : a\r\nContent-Length: 0\r\n\r\n",
		"no name":             "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
		"bare return":         "HTTP/1.1 200 OK\r\n\rX-A: a\r\nContent-Length: 0\r\n\r\n",
		"bare line feed":      "HTTP/1.1 200 OK\r\nX-A: a\nX-B: b\r\nContent-Length: 0\r\n\r\n",
		"NUL in a value":      "HTTP/1.1 200 OK\r\nX-A: \x00\r\nContent-Length: 0\r\n\r\n",
		"endless header":      "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n",
		"many fields":         "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 4<<10) + "\r\n",
		"short body":          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
		"short chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
		"no carriage return":  "HTTP/1.0 200 \n\r\n\r\n",
		"chunks in HTTP/1.0":  "HTTP/1.0 200 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"trailer":             "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: x\r\n\r\n",
		"wrong chunk":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
	} {
		if _, got, err := says(t, answer).do(t, "GET", "/", ""); err == nil {
			t.Errorf("%s: got %.40q and no error", name, got)
		}
	}
}

func TestMalformedRequestsAreNotSent(t *testing.T) {
	t.Parallel()
	u := serve(t, func(http.ResponseWriter, *http.Request) {})
	for name, change := range map[string]func(*http.Request){
		"line break in a value": func(r *http.Request) { r.Header["X-A"] = []string{"a\r\nX-B: b"} },
		"line break in a name":  func(r *http.Request) { r.Header["X-A\r\nX-B"] = []string{"a"} },
		"line break in query":   func(r *http.Request) { r.URL.RawQuery = "a\r\nX-B: b" },
		"space in the method":   func(r *http.Request) { r.Method = "GET /x" },
	} {
		r := u.request(t, t.Context(), "GET", "/", "")
		change(r)
		if res, err := u.RoundTrip(r); err == nil {
			_ = res.Body.Close()
			t.Errorf("%s was sent", name)
		} else if !errors.Is(err, http1.ErrRequest) {
			t.Errorf("%s: %v, want ErrRequest", name, err)
		}
	}
}

func TestAConnectionIsNotUsedAgainWhen(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		read   int // bytes of the body, -1 for all
	}{
		"the upstream says close":  {func(w http.ResponseWriter) { w.Header().Set("Connection", "close") }, -1},
		"the body was not read":    {func(w http.ResponseWriter) { _, _ = io.WriteString(w, strings.Repeat("x", 1<<20)) }, 10},
		"nothing of it was read":   {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") }, 0},
		"it broke off in the body": {func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); panic(http.ErrAbortHandler) }, -1},
	} {
		u := serve(t, func(w http.ResponseWriter, _ *http.Request) { c.answer(w) })
		for range 2 {
			res, err := u.RoundTrip(u.request(t, t.Context(), "GET", "/", ""))
			if err != nil {
				continue // the one that broke off
			}
			if c.read < 0 {
				_, _ = io.Copy(io.Discard, res.Body)
			} else {
				_, _ = io.CopyN(io.Discard, res.Body, int64(c.read))
			}
			_ = res.Body.Close()
		}
		if n := u.dials.Load(); n != 2 {
			t.Errorf("%s: %d connections for two requests, want 2", name, n)
		}
	}
}

func TestAConnectionThatWasClosedMeanwhileIsNotUsed(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer s.Close()
	u := to(t, s.Listener.Addr().String())
	for range 20 {
		if _, _, err := u.do(t, "POST", "/", "must not be sent twice"); err != nil {
			t.Fatal(err)
		}
		s.CloseClientConnections()
		waitClosed(t, s)
	}
}

// waitClosed waits until the server has no connection.
func waitClosed(t *testing.T, s *httptest.Server) {
	t.Helper()
	done := make(chan struct{})
	go func() { s.CloseClientConnections(); close(done) }()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("connections stay open")
	}
}

func TestTheEndOfTheContextEndsTheCall(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}, 2), make(chan struct{})
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "beginning")
			_ = http.NewResponseController(w).Flush()
		}
		begun <- struct{}{}
		<-release
	})
	defer close(release)
	why := errors.New("the client left")

	ctx, cancel := context.WithCancelCause(t.Context())
	go func() { <-begun; cancel(why) }()
	if _, err := u.RoundTrip(u.request(t, ctx, "GET", "/", "")); !errors.Is(err, why) {
		t.Errorf("before the answer: %v, want the cause", err)
	}

	ctx, cancel = context.WithCancelCause(t.Context())
	res, err := u.RoundTrip(u.request(t, ctx, "GET", "/body", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	go func() { <-begun; cancel(why) }()
	if got, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("in the body: got %q and no error", got)
	}
}

func TestIdleConnectionsAreBoundedInNumberAndTime(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	gate := make(chan struct{})
	u := serve(t, func(http.ResponseWriter, *http.Request) { <-gate })
	for range 8 {
		wg.Go(func() {
			if _, _, err := u.do(t, "GET", "/", ""); err != nil {
				t.Error(err)
			}
		})
	}
	for deadline := time.Now().Add(10 * time.Second); u.dials.Load() < 8; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			close(gate)
			t.Fatalf("%d connections for 8 calls at once", u.dials.Load())
		}
	}
	close(gate)
	wg.Wait()
	for range 4 {
		wg.Go(func() { _, _, _ = u.do(t, "GET", "/", "") })
	}
	wg.Wait()
	if n := u.dials.Load(); n != 8 {
		t.Errorf("%d connections, want the kept ones to be used", n)
	}
	u.IdleTimeout = 0
	if _, _, err := u.do(t, "GET", "/", ""); err != nil || u.dials.Load() != 9 {
		t.Errorf("%d connections (%v), want a new one after the idle time", u.dials.Load(), err)
	}
}

func TestEachLoopKeepsAFewConnectionsHoweverManyLoopsThereAre(t *testing.T) {
	t.Parallel()
	var all sync.WaitGroup
	u := serve(t, func(http.ResponseWriter, *http.Request) {
		all.Done()
		here := make(chan struct{})
		go func() { defer close(here); all.Wait() }()
		select {
		case <-here:
		case <-time.After(10 * time.Second): // One has failed.
		}
	})
	u.Loops = eventlooptest.Start(t)
	u.MaxIdle = u.Loops.Len() // one for each
	calls := 4 * u.Loops.Len()
	for range 3 {
		all.Add(calls)
		var done sync.WaitGroup
		for range calls {
			done.Go(func() {
				if _, _, err := u.do(t, "GET", "/", ""); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
	}
	if dials := u.dials.Load(); dials != int64(calls) {
		t.Errorf("%d connections for three times %d calls at once on %d loops", dials, calls, u.Loops.Len())
	}
}

func TestConcurrentCallsDoNotMixTheirAnswers(t *testing.T) {
	t.Parallel()
	u := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				body := strings.Repeat(fmt.Sprintf("%d-%d.", i, j), 1+j*7%900)
				if _, got, err := u.do(t, "POST", "/", body); err != nil || got != body {
					t.Errorf("%d-%d: %v, got %d bytes, want %d", i, j, err, len(got), len(body))
				}
			}
		})
	}
	wg.Wait()
}

// FuzzAnswer compares with net/http: what we take, it takes, too, and reads the same.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nab", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nrest", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 \r\nConnection: close\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		here, there := net.Pipe()
		go func() {
			_, _ = http.ReadRequest(newReader(there))
			_, _ = there.Write(answer)
			_ = there.Close()
		}()
		tr := http1.Transport{MaxIdle: 1, IdleTimeout: time.Minute, MaxHeader: 64 << 10,
			Dial: func(context.Context) (net.Conn, error) { return here, nil }}
		defer tr.CloseIdleConnections()
		r := httptest.NewRequest(http.MethodGet, "http://upstream/", nil)
		ours, err := tr.RoundTrip(r)
		if err != nil {
			_ = here.Close()
			return
		}
		body, err := io.ReadAll(ours.Body)
		_ = ours.Body.Close()
		if err != nil {
			return
		}
		theirs, err := final(answer, r)
		if err != nil {
			t.Fatalf("%q: net/http says %v", answer, err)
		}
		want, err := io.ReadAll(theirs.Body)
		if err != nil || !bytes.Equal(body, want) || ours.StatusCode != theirs.StatusCode {
			t.Fatalf("%q: got %d %q, net/http reads %d %q, %v", answer, ours.StatusCode, body, theirs.StatusCode, want, err)
		}
		for name, values := range theirs.Header {
			if fmt.Sprint(ours.Header[name]) != fmt.Sprint(values) {
				t.Fatalf("%q: %s is %q, net/http reads %q", answer, name, ours.Header[name], values)
			}
		}
	})
}
