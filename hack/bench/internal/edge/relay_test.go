package edge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/child"
	"ecommerce-stack.dev/hack/bench/internal/heap"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// TestTheRelayPutsAsMuchOnTheWireAsTheGateway sends the same request with a token through
// both, to an origin that sees what comes.
func TestTheRelayPutsAsMuchOnTheWireAsTheGateway(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the gateway; not part of a -short run")
	}
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	behind := watch(t)
	e := &Edge{Root: root, Bin: t.TempDir(), dir: t.TempDir(), origin: behind.address,
		addresses: map[string]string{}, metrics: map[string]string{}, children: map[string]*child.Child{}}
	defer func() {
		if err := e.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := e.writeKeys(); err != nil {
		t.Fatal(err)
	}
	through := func(p peer, path string) (request, answer string) {
		if err := e.start(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		answer = ask(t, e.addresses[p.name()], path, e.tokens[0])
		return behind.last(path), answer
	}
	wantRequest, wantAnswer := through(gateway{}, tokenPath)
	if n, err := heap.Allocated(t.Context(), e.metrics[gateway{}.name()]); err != nil || n == 0 {
		t.Errorf("the gateway's allocations: %v, %v", n, err)
	}
	request, answer := through(relay{}, plainPath)
	alike(t, "request", request, wantRequest)
	alike(t, "answer", answer, wantAnswer)
}

// alike compares the fields of two headers, and their sizes but for the digits of numbers.
func alike(t *testing.T, what, relayed, want string) {
	t.Helper()
	if got, want := fields(relayed), fields(want); !slices.Equal(got, want) {
		t.Errorf("the fields of the %s are %v, the gateway's are %v", what, got, want)
	}
	if len(relayed) < len(want)-4 || len(relayed) > len(want)+4 {
		t.Errorf("the header of the %s has %d bytes, the gateway's has %d:\n%s\n%s", what, len(relayed), len(want), relayed, want)
	}
}

// fields are the names of a header's fields, sorted.
func fields(header string) []string {
	var names []string
	for line := range strings.Lines(header) {
		if name, _, ok := strings.Cut(line, ": "); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// watched is an origin that keeps the requests that come, by their path.
type watched struct {
	address string
	mu      sync.Mutex
	came    map[string]string
}

const (
	watchedBody   = "Hello\n"
	watchedAnswer = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 6\r\nContent-Type: application/json\r\n" +
		"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n" + watchedBody
)

func watch(t *testing.T) *watched {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &watched{address: l.Addr().String(), came: map[string]string{}}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.answer(c)
		}
	}()
	return w
}

func (w *watched) answer(c net.Conn) {
	defer c.Close()
	for r := bufio.NewReader(c); ; {
		request, err := header(r)
		if err != nil {
			return
		}
		path := strings.Fields(request)[1]
		w.mu.Lock()
		w.came[path] = request
		w.mu.Unlock()
		if _, err := io.WriteString(c, watchedAnswer); err != nil {
			return
		}
	}
}

// last is the header of the last request of a path.
func (w *watched) last(path string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.came[path]
}

// ask sends a request as wrk does, and returns the header of the answer. It does so until
// the peer knows the token.
func ask(t *testing.T, address, path, token string) (answer string) {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	r := bufio.NewReader(c)
	for range 3 {
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, address, token); err != nil {
			t.Fatal(err)
		}
		if answer, err = header(r); err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200 OK\r\n") {
			t.Fatalf("answered %q, %v", answer, err)
		}
		body := make([]byte, len(watchedBody))
		if _, err := io.ReadFull(r, body); err != nil || string(body) != watchedBody {
			t.Fatalf("the body is %q, %v; want %q", body, err, watchedBody)
		}
	}
	return answer
}

// header reads to the end of a header.
func header(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if b.WriteString(line); line == "\r\n" {
			return b.String(), nil
		}
	}
}
