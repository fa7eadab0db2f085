package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	request = "GET /plain HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer abc\r\n\r\n"
	answer  = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nHello\n"
)

// relayed starts a relay before an origin of the test's own, and returns its address.
func relayed(t *testing.T, origin func(net.Conn)) string {
	t.Helper()
	behind, before := listen(t), listen(t)
	go func() {
		for {
			c, err := behind.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				origin(c)
			}()
		}
	}()
	go func() {
		// Its loops end with the test's process.
		if err := serve(before, behind.Addr().String()); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the relay ended: %v", err)
		}
	}()
	return before.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// header reads to the end of a header, "" when there is none.
func header(r *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return ""
		}
		if b.WriteString(line); line == "\r\n" {
			return b.String()
		}
	}
}

func TestTheRelayPassesOnEachMessageWithItsFields(t *testing.T) {
	came := make(chan string, 1)
	address := relayed(t, func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			got := header(r)
			if got == "" {
				return
			}
			came <- got
			_, _ = io.WriteString(c, answer)
		}
	})
	wantRequest := strings.TrimSuffix(request, "\r\n") + requestFields + "\r\n"
	wantAnswer := strings.Replace(answer, "\r\n\r\n", "\r\n"+answerFields+"\r\n", 1)
	for range 5 { // on every loop
		c := dial(t, address)
		for range 3 {
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(wantAnswer))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != wantAnswer {
				t.Fatalf("the client got %q, %v; want\n%q", got, err, wantAnswer)
			}
			if got := <-came; got != wantRequest {
				t.Fatalf("the origin got %q, want\n%q", got, wantRequest)
			}
		}
	}
}

func TestTheRelayEndsAConnectionWithARequestThatIsNotWhole(t *testing.T) {
	for name, sent := range map[string]string{
		"half a header":    request[:len(request)/2],
		"a body":           strings.Replace(request, "\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n1", 1),
		"two requests":     request + request,
		"more than a read": "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", longest) + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			came := make(chan []byte, 1)
			c := dial(t, relayed(t, func(c net.Conn) {
				got, _ := io.ReadAll(c) // It ends in any case.
				came <- got
			}))
			if _, err := io.WriteString(c, sent); err != nil {
				t.Fatal(err)
			}
			ended(t, c)
			if got := <-came; len(got) > 0 {
				t.Errorf("the origin got %q, want nothing", got)
			}
		})
	}
}

func TestTheRelayEndsAConnectionWithAnAnswerThatIsNotWhole(t *testing.T) {
	whole := strings.Replace(answer, "\r\n\r\n", "\r\n"+answerFields+"\r\n", 1)
	for name, c := range map[string]struct{ first, then, want string }{
		"half a header":    {first: answer[:len(answer)/2]},
		"more than a read": {first: strings.Replace(answer, "Hello\n", strings.Repeat("x", longest), 1)},
		"half a body":      {answer[:len(answer)-3], answer[len(answer)-3:], whole[:len(whole)-3]},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan struct{})
			client := dial(t, relayed(t, func(o net.Conn) {
				header(bufio.NewReader(o))
				_, _ = io.WriteString(o, c.first)
				if c.then != "" {
					<-got
					_, _ = io.WriteString(o, c.then)
				}
				_, _ = io.Copy(io.Discard, o)
			}))
			if _, err := io.WriteString(client, request); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, len(c.want))
			if _, err := io.ReadFull(client, first); err != nil || string(first) != c.want {
				t.Fatalf("the client got %q, %v; want %q", first, err, c.want)
			}
			close(got)
			ended(t, client)
		})
	}
}

// ended checks that nothing more comes until the connection ends, in whatever way.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	got, err := io.ReadAll(c)
	if len(got) > 0 || err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("%q came, %v; want nothing but the end of the connection", got, err)
	}
}

func TestTheRelayEndsAConnectionThatTakesOnlyAPart(t *testing.T) {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l.epoll)
	client, ours := sockets(t)
	origin, theirs := sockets(t)
	p := pair{client: ours, origin: theirs}
	write := func(fd int, what string) {
		t.Helper()
		if _, err := unix.Write(fd, []byte(what)); err != nil {
			t.Fatal(err)
		}
	}
	write(client, request)
	if !l.pass(p, false) {
		t.Fatal("a request is not passed on")
	}
	if !l.pass(p, false) {
		t.Error("an event without a message ends the connection")
	}
	fill(t, ours)
	write(origin, answer)
	if l.pass(p, true) {
		t.Error("the connection goes on without an answer that could not be written")
	}
}

// sockets are two ends that do not block.
func sockets(t *testing.T) (one, other int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = unix.Close(fds[0]), unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// fill writes until no more is taken.
func fill(t *testing.T, fd int) {
	t.Helper()
	for {
		_, err := unix.Write(fd, make([]byte, 4096))
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestBothConnectionsEndTogether(t *testing.T) {
	ends := make(chan struct{}, 1)
	address := relayed(t, func(c net.Conn) {
		_, _ = io.Copy(io.Discard, c)
		ends <- struct{}{}
	})
	for i := range 20 {
		leaves := dial(t, address)
		if err := leaves.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ends:
		case <-time.After(20 * time.Second):
			t.Fatalf("the origin's connection lives on after the end of client %d", i)
		}
	}
}

func TestAnEventTellsItsPair(t *testing.T) {
	p := pair{client: 3, origin: 0}
	for _, want := range []bool{false, true} {
		e := p.requests()
		if want {
			e = p.answers()
		}
		if got, answers := pairOf(e); got != p || answers != want {
			t.Errorf("%+v is of %+v, answers %t; want %+v, %t", e, got, answers, p, want)
		}
	}
}

func TestAPairEndsOnceInARound(t *testing.T) {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(l.epoll)
	p := pair{client: 1 << 20, origin: 1<<20 + 1}
	for _, e := range []unix.EpollEvent{p.requests(), p.answers()} {
		e.Events |= unix.EPOLLHUP
		l.handle(e)
	}
	// Who closes a descriptor twice closes that of another connection.
	if len(l.ended) != 1 || l.ended[0] != p {
		t.Errorf("%+v are to be closed, want %+v once", l.ended, p)
	}
}
