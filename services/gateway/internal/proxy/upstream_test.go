package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/problem"
)

// roundTrip plays an upstream.
type roundTrip func(*http.Request) (*http.Response, error)

func (roundTrip) CloseIdleConnections() {}

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hang never answers.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func fine(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
}

func upstreamOf(f roundTrip) *Upstream {
	u := NewUpstream("sales", &url.URL{Scheme: "http", Host: "sales"}, nil, NewMetrics(prometheus.NewRegistry()))
	u.round = f
	return u
}

func post(ctx context.Context, body io.Reader) *http.Request {
	return httptest.NewRequestWithContext(ctx, http.MethodPost, "/sales", body)
}

func TestOnlyClientsThatLeaveOrdinaryCallsOpenTheBreaker(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		call   Call
		after  time.Duration
		closed bool
	}{
		{Call{Timeout: 45 * time.Second, Long: true}, 10 * time.Second, true},
		{Call{Timeout: 45 * time.Second}, 10 * time.Second, false},
		{Call{Timeout: 45 * time.Second}, time.Second, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			u := upstreamOf(hang)
			var wg sync.WaitGroup
			for range 4 * breakerCalls {
				wg.Go(func() {
					ctx, leave := context.WithTimeout(t.Context(), c.after)
					defer leave()
					if err := u.Forward(httptest.NewRecorder(), post(ctx, nil), c.call); !errors.Is(err, context.Canceled) {
						t.Errorf("a call whose client left: got %v", err)
					}
				})
			}
			wg.Wait()
			if got := u.breaker.IsClosed(); got != c.closed {
				t.Errorf("%+v left after %s: breaker closed %v, want %v", c.call, c.after, got, c.closed)
			}
		})
	}
}

// TestTheLengthOfABodyIsSaidOnce sends a body to an upstream that reads raw bytes.
func TestTheLengthOfABodyIsSaidOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		in := make([]byte, 4<<10)
		n, _ := c.Read(in)
		got <- string(in[:n])
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	}()
	u := NewUpstream("sales", &url.URL{Scheme: "http", Host: l.Addr().String()}, nil, NewMetrics(prometheus.NewRegistry()))
	r := post(t.Context(), strings.NewReader("{}"))
	r.Header.Set("Content-Length", "02")
	if err := u.Forward(httptest.NewRecorder(), r, Call{Timeout: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	if raw := <-got; strings.Count(raw, "Content-Length:") != 1 || !strings.Contains(raw, "Content-Length: 2\r\n") {
		t.Errorf("the upstream is sent\n%s", raw)
	}
}

func TestLongCallsAndOrdinaryOnesTakeNoPlacesOfEachOther(t *testing.T) {
	t.Parallel()
	for _, long := range []bool{true, false} {
		u := upstreamOf(fine)
		for u.enter(long) == nil {
		}
		for _, of := range []bool{true, false} {
			err := u.Forward(httptest.NewRecorder(), post(t.Context(), nil), Call{Timeout: time.Minute, Long: of})
			if refused := err != nil; refused != (of == long) {
				t.Errorf("all places of long=%v taken, a call of long=%v: got %v", long, of, err)
			}
		}
	}
}

func TestABodyThatComesSlowlyTakesNoPlace(t *testing.T) {
	t.Parallel()
	for _, size := range []int{10, smallBody + 10} {
		u := upstreamOf(fine)
		r, w := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- u.Forward(httptest.NewRecorder(), post(t.Context(), r), Call{Timeout: time.Minute}) }()
		if _, err := io.WriteString(w, strings.Repeat("x", size)); err != nil { // all of it is read then
			t.Fatal(err)
		}
		if n := u.ordinary.taken.Load(); n != 0 {
			t.Errorf("after %d bytes of a body %d places are taken, want none", size, n)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("the whole body: got %v", err)
		}
		if n := u.large.taken.Load(); n != 0 {
			t.Errorf("after the call of a body of %d bytes %d places of large ones are taken, want none", size, n)
		}
	}
}

func TestLargeBodiesAreBoundedAndSmallOnesAreNot(t *testing.T) {
	t.Parallel()
	u := upstreamOf(fine)
	var slow sync.WaitGroup
	var writers []*io.PipeWriter
	for range largeBodies {
		r, w := io.Pipe()
		writers = append(writers, w)
		slow.Go(func() { _ = u.Forward(httptest.NewRecorder(), post(t.Context(), r), Call{Timeout: time.Minute}) })
		for _, part := range []int{smallBody + 1, 1} { // the second is read by who has a place
			if _, err := io.WriteString(w, strings.Repeat("x", part)); err != nil {
				t.Fatal(err)
			}
		}
	}
	send := func(size int) error {
		return u.Forward(httptest.NewRecorder(), post(t.Context(), strings.NewReader(strings.Repeat("x", size))), Call{Timeout: time.Minute})
	}
	if p := problem.From(send(smallBody + 1)); p.Status != http.StatusServiceUnavailable {
		t.Errorf("one large body more: got %v, want 503", p)
	}
	if err := send(smallBody); err != nil {
		t.Errorf("a small body beside them: got %v", err)
	}
	for _, w := range writers {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	slow.Wait()
	if err := send(smallBody + 1); err != nil {
		t.Errorf("a large body after them: got %v", err)
	}
}
