package gateway_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/problem"
)

func TestHeadOfTheDocumentedLimitIsAccepted(t *testing.T) {
	t.Parallel()
	g := start(t, setup{})
	g.up.respondWith(text("{}"))
	for _, c := range []struct{ lines, bytes, status int }{{1, 10 << 10, 200}, {1, 31 << 10, 200}, {31, 1000, 200}, {1, 33 << 10, 431}, {33, 1000, 431}} {
		field := "X-A: " + strings.Repeat("a", c.bytes) + "\r\n"
		res, p := g.raw("GET /.well-known/jwks.json HTTP/1.1\r\nHost: x\r\n" + strings.Repeat(field, c.lines) + "\r\n")
		if res.StatusCode != c.status {
			t.Errorf("%d lines of %d bytes: %d %v, want %d", c.lines, c.bytes, res.StatusCode, p, c.status)
		}
	}
}

func TestMalformedRequestIsProblemAndCountsAgainstRateLimit(t *testing.T) {
	t.Parallel()
	g := start(t, setup{limits: map[string]*limit.Limiter{route.LimitDefault: limit.New(1, time.Hour, 3)}})
	for i, c := range []struct {
		raw    string
		status int
	}{
		{"GET / HTTP/1.1\r\nX : no host\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 40<<10) + "\r\n\r\n", 431},
		{"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
		{"nonsense\r\n\r\n", 429},
	} {
		res, p := g.raw(c.raw)
		if res.StatusCode != c.status || p["status"] != float64(c.status) || p["code"] == nil || p["traceId"] == nil || !res.Close ||
			res.Header.Get("Content-Type") != problem.ContentType {
			t.Errorf("%.30q: %d %v %v, want a problem with %d and the end of the connection", c.raw, res.StatusCode, res.Header, p, c.status)
		}
		if left := res.Header.Get("RateLimit-Remaining"); i < 3 && left != string(rune('2'-i)) || res.Header.Get("X-Request-Id") == "" {
			t.Errorf("%.30q: %q calls are left, request id %q", c.raw, left, res.Header.Get("X-Request-Id"))
		}
	}
}

// raw sends bytes and reads the response.
func (g *fixture) raw(text string) (*http.Response, map[string]any) {
	g.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	go func() { _, _ = io.WriteString(c, text) }()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		g.t.Fatal(err)
	}
	defer res.Body.Close()
	var p map[string]any
	if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
		g.t.Fatal(err)
	}
	return res, p
}

// TestMissingBodyIs408 sends a header without its body on a connection that has
// had a response before.
func TestMissingBodyIs408(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for half a minute")
	}
	t.Parallel()
	g := start(t, setup{})
	c, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	in := bufio.NewReader(c)
	for i, want := range []int{http.StatusOK, http.StatusRequestTimeout} {
		length := 2 + 100*i
		body := "{}"[:2-2*i] // of the late one nothing arrives
		if _, err := io.WriteString(c, "POST /auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: "+strconv.Itoa(length)+"\r\n\r\n"+body); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("want %d: %v", want, err)
		}
		_, _ = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("got %d, want %d", res.StatusCode, want)
		}
	}
}

func TestProblemOfLateBodyHasPath(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for half a minute")
	}
	t.Parallel()
	g := start(t, setup{})
	res, p := g.raw("POST /auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	if res.StatusCode != http.StatusRequestTimeout || p["instance"] != "/auth/logout" {
		t.Errorf("got %d %v, want 408 of /auth/logout", res.StatusCode, p)
	}
}
