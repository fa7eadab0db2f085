package gateway_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// comments sends a stream with a comment every 10 ms until its client disconnects.
func comments(disconnected chan<- struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			_, _ = io.WriteString(w, ": comment\n\n")
			_ = control.Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				disconnected <- struct{}{}
				return
			}
		}
	}
}

func (g *fixture) stream() (lines *bufio.Scanner, leave func()) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.url+"/sales/7/stream", nil)
	if err != nil {
		g.t.Fatal(err)
	}
	r.Header.Set("Authorization", g.client(7))
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil || res.StatusCode != http.StatusOK {
		g.t.Fatalf("got %v, %v", res, err)
	}
	return bufio.NewScanner(res.Body), func() { res.Body.Close() }
}

func TestClientDisconnectEndsStreamAtService(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	disconnected := make(chan struct{}, 1)
	g.up.respondWith(comments(disconnected))
	for range 9 { // one more than a caller may have at once
		lines, leave := g.stream()
		if !lines.Scan() {
			t.Fatal("nothing arrived")
		}
		leave()
		select {
		case <-disconnected:
		case <-time.After(20 * time.Second):
			t.Fatal("the service still streams to a client that disconnected 20 s ago")
		}
	}
}

func TestHEADOfStreamEndsAtOnce(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	release := make(chan struct{})
	defer close(release)
	g.up.respondWith(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead { // as a service that goes on after its headers
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-release
			return
		}
		echo(w, r)
	})
	for range 20 {
		if a := g.do("HEAD", "/sales/7/stream", "", "Authorization", g.client(7)); a.status != 200 || a.raw != "" {
			t.Fatalf("got %d %q", a.status, a.raw)
		}
		g.expect(g.do("GET", "/sales", "", "Authorization", g.client(7)), 200, "")
	}
}

func TestHTTP10ClientReceivesStreamUntilClose(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: x\n\n")
			_ = http.NewResponseController(w).Flush()
		}
	})
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, "GET /sales/7/stream HTTP/1.0\r\nAuthorization: "+g.client(7)+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if got, err := io.ReadAll(res.Body); string(got) != strings.Repeat("data: x\n\n", 3) || err != nil || len(res.TransferEncoding) != 0 {
		t.Errorf("got %q, %v, Transfer-Encoding %v", got, err, res.TransferEncoding)
	}
}
