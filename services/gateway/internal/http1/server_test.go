package http1_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/gateway/internal/eventloop/eventlooptest"
	"ecommerce-stack.dev/services/gateway/internal/http1"
)

var limits = http1.Limits{Header: 5 * time.Second, Read: 10 * time.Second, Write: 10 * time.Second, Idle: time.Minute, HeaderBytes: 32 << 10}

// listen serves h and returns the address.
func listen(t testing.TB, h http.Handler, l http1.Limits) (string, *http1.Server) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http1.Server{Handler: h, Limits: l, Log: slog.New(slog.DiscardHandler), Loops: eventlooptest.Start(t)}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("connections are left: %v", err)
		}
	})
	return listener.Addr().String(), s
}

// echo answers with what the handler was given.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	seen := map[string]any{"method": r.Method, "path": r.URL.Path, "raw": r.URL.RawPath, "query": r.URL.RawQuery, "host": r.Host,
		"length": r.ContentLength, "coding": r.TransferEncoding, "proto": r.Proto, "uri": r.RequestURI, "header": r.Header,
		"body": string(body), "failed": err != nil}
	if r.URL.Query().Get("status") == "204" {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(seen)
}

// answers sends raw requests over one connection and reads n answers.
func answers(t testing.TB, address, raw string, n int) []string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { _, _ = io.WriteString(c, raw) }()
	in := bufio.NewReader(c)
	var got []string
	for range n {
		res, err := http.ReadResponse(in, &http.Request{Method: methodOf(raw, len(got))})
		if err != nil {
			return append(got, "end")
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return append(got, "broken body")
		}
		if res.StatusCode >= 400 {
			body = nil
		}
		got = append(got, fmt.Sprintf("%d close=%v %s", res.StatusCode, res.Close, body))
	}
	return got
}

// methodOf the nth request, as far as it matters to a reader of answers.
func methodOf(raw string, n int) string {
	if n == 0 && strings.HasPrefix(raw, "HEAD") {
		return http.MethodHead
	}
	return http.MethodGet
}

func TestRequestsAreReadAsNetHTTPReadsThem(t *testing.T) {
	t.Parallel()
	ours, _ := listen(t, http.HandlerFunc(echo), limits)
	theirs := httptest.NewServer(http.HandlerFunc(echo))
	defer theirs.Close()
	for name, raw := range map[string]string{
		"plain":             "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"escaped path":      "GET /a%20b/%2F/%C3%A9?q=%41&x HTTP/1.1\r\nHost: x:80\r\nConnection: close\r\n\r\n",
		"two slashes":       "GET //a//b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"empty query":       "GET /a? HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"absolute form":     "GET http://other/a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"fields":            "GET / HTTP/1.1\r\nHost: x\r\nx-lower: a\r\nX-Two: 1\r\nX-TWO:2  \r\nX-Empty:\r\nConnection: close\r\n\r\n",
		"body":              "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
		"chunks":            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;a=b\r\n world\r\n0\r\n\r\n",
		"HTTP/1.0":          "GET /a HTTP/1.0\r\n\r\n",
		"HEAD":              "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"no content":        "GET /?status=204 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"empty line before": "\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"other method":      "BREW /pot HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"no host":           "GET / HTTP/1.1\r\n\r\n",
		"two hosts":         "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"length twice":      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"length no number":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
		"bad name":          "GET / HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n",
		"bad value":         "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\x00b\r\n\r\n",
		"other version":     "GET / HTTP/1.2.3\r\nHost: x\r\n\r\n",
		"no target":         "GET HTTP/1.1\r\nHost: x\r\n\r\n",
		"garbage":           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n",
		"expectation":       "POST / HTTP/1.1\r\nHost: x\r\nExpect: miracle\r\nContent-Length: 1\r\n\r\na",
	} {
		want := answers(t, theirs.Listener.Addr().String(), raw, 2)
		if diff := cmp.Diff(want, answers(t, ours, raw, 2)); diff != "" {
			t.Errorf("%s (-net/http +ours):\n%s", name, diff)
		}
	}
}

func TestRequestsThatReadersDifferOverAreRefused(t *testing.T) {
	t.Parallel()
	ours, _ := listen(t, http.HandlerFunc(echo), limits)
	for name, raw := range map[string]string{
		"length and chunks":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"length said twice":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"chunks in 1.0":      "POST / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"other coding":       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"coding twice":       "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"space before colon": "GET / HTTP/1.1\r\nHost: x\r\nX-A : b\r\n\r\n",
		"continued line":     "GET / HTTP/1.1\r\nHost: x\r\nX-A: a\r\n b\r\n\r\n",
		"no name":            "GET / HTTP/1.1\r\nHost: x\r\n: b\r\n\r\n",
		"bare return":        "GET / HTTP/1.1\r\nHost: x\r\n\rX-A: b\r\n\r\n",
		"bare line feeds":    "GET / HTTP/1.1\nHost: x\n\r\n\r\n",
		"two spaces":         "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
		"space in target":    "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
		"relative target":    "GET a HTTP/1.1\r\nHost: x\r\n\r\n",
		"user in target":     "GET http://u:p@x/ HTTP/1.1\r\nHost: x\r\n\r\n",
		"tunnel":             "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n",
		"path in host":       "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n",
		"preface of HTTP/2":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		if got := answers(t, ours, raw, 1); len(got) != 1 || !strings.HasPrefix(got[0], "400 close=true") {
			t.Errorf("%s: %q, want 400 and the end of the connection", name, got)
		}
	}
	if got := answers(t, ours, "GET / HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 40<<10)+"\r\n\r\n", 1); !strings.HasPrefix(got[0], "431 close=true") {
		t.Errorf("a header of 40 KiB: %q, want 431", got)
	}
	many := answers(t, ours, "GET / HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("X-A: "+strings.Repeat("a", 90)+"\r\n", 300)+"\r\n", 1)
	if len(many) != 1 || !strings.HasPrefix(many[0], "200") {
		t.Errorf("a header of 30 KiB: %.80q, want 200", many)
	}
}

func TestRequestsFollowEachOtherOnAConnection(t *testing.T) {
	t.Parallel()
	ours, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/unread" {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		_, _ = io.WriteString(w, r.URL.Path)
	}), limits)
	raw := "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" +
		"POST /unread HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"POST /5 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
		"GET /6 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\nGET /7 HTTP/1.1\r\nHost: x\r\n\r\n"
	want := []string{"200 close=false /1", "200 close=false /2", "200 close=false /unread", "200 close=false /unread", "200 close=false /5", "200 close=true /6", "end"}
	if diff := cmp.Diff(want, answers(t, ours, raw, 7)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	large := "POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + strings.Repeat("x", 1<<20)
	if got := answers(t, ours, large, 2); len(got) != 2 || got[0] != "200 close=false /unread" || got[1] != "end" {
		t.Errorf("a large body that is not read: %q, want the answer and the end", got)
	}
}

func TestAnswersAreFramedAsTheHandlerWroteThem(t *testing.T) {
	t.Parallel()
	handler := func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/declared":
			w.Header().Set("Content-Length", "3")
			_, _ = io.WriteString(w, "abc")
			if _, err := io.WriteString(w, "d"); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("a byte too many: %v", err)
			}
		case "/large":
			for range 10 {
				_, _ = io.WriteString(w, strings.Repeat("x", 30<<10))
				_, _ = io.WriteString(w, "y")
			}
		case "/flushed":
			_, _ = io.WriteString(w, "a")
			_ = http.NewResponseController(w).Flush()
			_, _ = io.WriteString(w, "b")
		case "/late":
			w.WriteHeader(http.StatusTeapot)
			w.Header().Set("X-Late", "1")
			w.WriteHeader(http.StatusOK)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Errorf("a body of 204: %v", err)
			}
		case "/hints":
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, "final")
		case "/html":
			_, _ = io.WriteString(w, "<!doctype html><p>")
		case "/split":
			w.Header().Set("X-Evil", "a\r\nX-Injected: b")
		}
	}
	ours, _ := listen(t, http.HandlerFunc(handler), limits)
	theirs := httptest.NewServer(http.HandlerFunc(handler))
	defer theirs.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	see := func(base, method, path string) string {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		res.Header.Del("Date")
		return fmt.Sprintln(res.StatusCode, res.ContentLength, res.TransferEncoding, len(body), err, res.Header)
	}
	for _, path := range []string{"/", "/declared", "/large", "/flushed", "/late", "/none", "/hints", "/html", "/split"} {
		for _, method := range []string{"GET", "HEAD"} {
			if method == "HEAD" && path == "/large" {
				continue // We know its length, net/http does not.
			}
			want := see(theirs.URL, method, path)
			if got := see("http://"+ours, method, path); got != want {
				t.Errorf("%s %s\n got %s want %s", method, path, got, want)
			}
		}
	}
}

func TestAnAnswerThatBreaksOffIsSeenToBreakOff(t *testing.T) {
	t.Parallel()
	ours, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/short" {
			w.Header().Set("Content-Length", "100")
		}
		_, _ = io.WriteString(w, "beginning")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
	}), limits)
	for _, path := range []string{"/short", "/panic"} {
		if got := answers(t, ours, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n", 1); got[0] != "broken body" {
			t.Errorf("%s: %q, want a broken body", path, got)
		}
	}
}

func TestTheContextEndsWhenTheClientLeaves(t *testing.T) {
	t.Parallel()
	begun, left := make(chan struct{}, 1), make(chan error, 1)
	ours, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		begun <- struct{}{}
		select {
		case <-ctx.Done():
			left <- context.Cause(ctx)
		case <-time.After(10 * time.Second):
			left <- errors.New("nobody noticed")
		}
	}), limits)
	for _, raw := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"} {
		c, err := net.Dial("tcp", ours)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, raw)
		<-begun
		_ = c.Close()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("%.4s: %v, want Canceled", raw, err)
		}
	}
}

func TestAWatchedContextCostsTheNextRequestNothing(t *testing.T) {
	t.Parallel()
	ours, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		if ctx.Err() != nil {
			t.Error("the context has ended")
		}
		_, _ = io.WriteString(w, "ok")
	}), limits)
	one := "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na"
	got := answers(t, ours, strings.Repeat(one, 50), 50)
	if len(got) != 50 || got[49] != "200 close=false ok" {
		t.Errorf("%d answers, the last %q", len(got), got[len(got)-1])
	}
}

func TestTheClientIsToldToGoOn(t *testing.T) {
	t.Parallel()
	ours, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}), limits)
	for path, want := range map[string]string{"/": "HTTP/1.1 100 Continue", "/refuse": "HTTP/1.1 403 Forbidden"} {
		c, err := net.Dial("tcp", ours)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
		line, err := bufio.NewReader(c).ReadString('\n')
		if strings.TrimSpace(line) != want {
			t.Errorf("%s: %q (%v), want %q", path, line, err, want)
		}
		_ = c.Close()
	}
}

func TestSlowClientsAreLetGo(t *testing.T) {
	t.Parallel()
	readErr := make(chan error, 1)
	read := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		readErr <- err
	})
	const soon, late = 100 * time.Millisecond, time.Minute
	for name, c := range map[string]struct {
		raw                string
		header, read, idle time.Duration
	}{
		"says nothing":     {"", late, late, soon},
		"half a header":    {"GET / HTTP/1.1\r\nHos", soon, late, late},
		"half of the body": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", late, soon, late},
	} {
		l, raw := limits, c.raw
		l.Header, l.Read, l.Idle = c.header, c.read, c.idle
		ours, _ := listen(t, read, l)
		c, err := net.Dial("tcp", ours)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, raw)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil {
			t.Errorf("%s: %v, want the end of the connection", name, err)
		}
		_ = c.Close()
	}
	if err := <-readErr; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler of a body that does not arrive: %v, want a deadline", err)
	}
}

func TestAnAnswerThatComesLateMayStillBeWritten(t *testing.T) {
	t.Parallel()
	short := limits
	short.Write = 200 * time.Millisecond
	ours, _ := listen(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			<-time.After(300 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "ok")
	}), short)
	raw := strings.Repeat("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /late HTTP/1.1\r\nHost: x\r\n\r\n", 3)
	for i, got := range answers(t, ours, raw, 6) {
		if got != "200 close=false ok" {
			t.Errorf("answer %d: %q", i, got)
		}
	}
}

func TestShutdownAnswersWhatIsInHand(t *testing.T) {
	t.Parallel()
	begun, release := make(chan struct{}), make(chan struct{})
	ours, s := listen(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		_, _ = io.WriteString(w, "done")
	}), limits)
	idle, err := net.Dial("tcp", ours)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	var wg sync.WaitGroup
	wg.Go(func() {
		if got := answers(t, ours, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 2); len(got) != 2 || got[0] != "200 close=true done" || got[1] != "end" {
			t.Errorf("in hand: %q, want its answer and the end", got)
		}
	})
	<-begun
	down := make(chan error)
	go func() { down <- s.Shutdown(t.Context()) }()
	_ = idle.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v, want its end", err)
	}
	select {
	case err := <-down:
		t.Errorf("Shutdown returned %v with a request in hand", err)
	default:
	}
	close(release)
	if err := <-down; err != nil {
		t.Error(err)
	}
	wg.Wait()
	if c, err := net.Dial("tcp", ours); err == nil {
		_ = c.Close()
		t.Error("it still takes connections")
	}
}

// FuzzServer compares with net/http: a request that we answer with 200, it does, too,
// and reads the same in it.
func FuzzServer(f *testing.F) {
	ours, _ := listen(f, http.HandlerFunc(echo), limits)
	theirs := httptest.NewServer(http.HandlerFunc(echo))
	f.Cleanup(theirs.Close)
	for _, seed := range []string{
		"GET /a?b=%41 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
		"POST /%2e%2E// HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\na\r\n0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nab",
		"GET http://x/ HTTP/1.0\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got := whole(t, ours, raw)
		if !strings.HasPrefix(got, "HTTP/1.1 200") {
			return
		}
		want := whole(t, theirs.Listener.Addr().String(), raw)
		_, gotBody, _ := strings.Cut(got, "\r\n\r\n")
		_, wantBody, _ := strings.Cut(want, "\r\n\r\n")
		if !strings.HasPrefix(want, "HTTP/1.") || !strings.Contains(want, " 200 ") || firstLine(gotBody) != firstLine(wantBody) {
			t.Errorf("%q\n    ours: %q\nnet/http: %q", raw, got, want)
		}
	})
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// whole sends bytes, and gives all that comes back for a moment.
func whole(t *testing.T, address string, raw []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).SetLinger(0) // or thousands of closed connections would take all ports
	defer c.Close()
	_, _ = c.Write(raw)
	_ = c.(*net.TCPConn).CloseWrite()
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	got, _ := io.ReadAll(c)
	return string(got)
}
