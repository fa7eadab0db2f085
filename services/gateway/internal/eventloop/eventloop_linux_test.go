package eventloop_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/nettest"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
	"ecommerce-stack.dev/services/gateway/internal/eventloop/eventlooptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection over loopback.
func pair(t testing.TB) (ours, theirs net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	theirs, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	_ = theirs.SetDeadline(time.Now().Add(20 * time.Second))
	return ours, theirs
}

// task runs body as a task with a connection, and returns the other end of that and what
// says that the task has ended.
func task(t testing.TB, g *eventloop.Group, body func(*eventloop.Task, net.Conn)) (net.Conn, <-chan struct{}) {
	t.Helper()
	ours, theirs := pair(t)
	ended := make(chan struct{})
	err := g.Go(ours, func(task *eventloop.Task, c net.Conn) {
		defer close(ended)
		defer c.Close()
		body(task, c)
	})
	if err != nil {
		t.Fatal(err)
	}
	return theirs, ended
}

func wait(t testing.TB, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatalf("not in time: %s", what)
	}
}

// TestAConnectionIsAsNetSaysItIs runs the tests that are there for every net.Conn, by
// goroutines beside the loop.
func TestAConnectionIsAsNetSaysItIs(t *testing.T) {
	g := eventlooptest.Start(t)
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		a, b := pair(t)
		one, err := g.Adopt(0, a)
		if err != nil {
			return nil, nil, nil, err
		}
		two, err := g.Adopt(1, b)
		return one, two, func() { _, _ = one.Close(), two.Close() }, err
	})
}

func TestTasksOfALoopTakeTurns(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	var group sync.WaitGroup
	for i := range 50 {
		theirs, ended := task(t, g, func(_ *eventloop.Task, c net.Conn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) })
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 0))
			for range 20 {
				sent := make([]byte, 1+r.IntN(200_000))
				for i := range sent {
					sent[i] = byte(r.Uint32())
				}
				go func() {
					for rest := sent; len(rest) > 0; {
						n := min(len(rest), 1+r.IntN(70_000))
						_, _ = theirs.Write(rest[:n])
						rest = rest[n:]
					}
				}()
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(theirs, got); err != nil || string(got) != string(sent) {
					t.Errorf("an echo of %d bytes is not what was sent: %v", len(sent), err)
					break
				}
			}
			_ = theirs.Close()
			wait(t, "the end of a task whose peer has left", ended)
		})
	}
	group.Wait()
}

func TestATaskThatHasLeftHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	goOn, left := make(chan struct{}), make(chan struct{}, 4)
	var ends []<-chan struct{}
	for range 4 { // two on each loop
		theirs, ended := task(t, g, func(task *eventloop.Task, c net.Conn) {
			for range 100 {
				task.Leave()
				if task.On() {
					t.Error("it is still on the loop")
				}
				task.Join()
				if !task.On() {
					t.Error("it is not back on the loop")
				}
			}
			task.Leave()
			left <- struct{}{}
			<-goOn
			one := make([]byte, 1)
			if _, err := c.Read(one); err != nil { // beside the loop
				t.Error(err)
			}
			task.Join()
			if _, err := c.Read(one); err != nil { // on it
				t.Error(err)
			}
		})
		ends = append(ends, ended)
		go func() {
			<-goOn
			_, _ = theirs.Write([]byte("ab"))
		}()
	}
	for range 4 {
		<-left
	}
	// All that have been started wait for a channel; the loops go on.
	for range 4 {
		theirs, ended := task(t, g, func(_ *eventloop.Task, c net.Conn) { _, _ = c.Write([]byte("here")) })
		if got, err := io.ReadAll(theirs); string(got) != "here" {
			t.Errorf("got %q, %v", got, err)
		}
		wait(t, "the end of another task", ended)
	}
	close(goOn)
	for _, ended := range ends {
		wait(t, "the end of a task that had left", ended)
	}
}

func TestATaskThatYieldsLeavesOthersTheirTurn(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	var others atomic.Int64
	var ends []<-chan struct{}
	for range 2 { // one on each loop
		_, ended := task(t, g, func(task *eventloop.Task, _ net.Conn) {
			for others.Load() < 2 {
				task.Yield()
			}
		})
		ends = append(ends, ended)
	}
	for range 2 {
		_, ended := task(t, g, func(*eventloop.Task, net.Conn) { others.Add(1) })
		ends = append(ends, ended)
	}
	for _, ended := range ends {
		wait(t, "the end of tasks that take turns", ended)
	}
}

func TestADeadlineWakesATask(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	_, ended := task(t, g, func(_ *eventloop.Task, c net.Conn) {
		one := make([]byte, 1)
		for range 3 {
			began := time.Now()
			_ = c.SetReadDeadline(began.Add(time.Minute))
			_ = c.SetReadDeadline(began.Add(20 * time.Millisecond)) // sooner than what the loop sleeps to
			if _, err := c.Read(one); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) < 20*time.Millisecond {
				t.Errorf("a read ended after %s with %v", time.Since(began), err)
			}
		}
		var refused net.Error
		if _, err := c.Read(one); !errors.As(err, &refused) || !refused.Timeout() {
			t.Errorf("a read after the deadline: %v", err)
		}
		_ = c.SetWriteDeadline(time.Now().Add(30 * time.Millisecond))
		if _, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) { // nobody reads it
			t.Errorf("a write: %v", err)
		}
		_ = c.SetWriteDeadline(time.Time{})
	})
	wait(t, "the end of the task", ended)
}

func TestOthersMayEndATasksWait(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	for name, end := range map[string]func(net.Conn) error{
		"close":    net.Conn.Close,
		"deadline": func(c net.Conn) error { return c.SetDeadline(time.Unix(1, 0)) },
	} {
		waits := make(chan net.Conn, 1)
		var got error
		_, ended := task(t, g, func(_ *eventloop.Task, c net.Conn) {
			waits <- c
			_, got = c.Read(make([]byte, 1))
		})
		if err := end(<-waits); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		wait(t, name, ended)
		if want := map[string]error{"close": net.ErrClosed, "deadline": os.ErrDeadlineExceeded}[name]; !errors.Is(got, want) {
			t.Errorf("%s: the read ended with %v", name, got)
		}
	}
}

func TestAConnectionIsQuietUntilSomethingComes(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	for name, say := range map[string]func(net.Conn) error{
		"bytes":   func(c net.Conn) error { _, err := c.Write([]byte("x")); return err },
		"the end": net.Conn.Close,
	} {
		ours, theirs := pair(t)
		c, err := g.Adopt(0, ours)
		if err != nil {
			t.Fatal(err)
		}
		for _, sure := range []bool{false, true} {
			if quiet, ok := eventloop.Quiet(c, sure); !quiet || !ok {
				t.Errorf("%s: before anything came: quiet %v, %v", name, quiet, ok)
			}
		}
		if err := say(theirs); err != nil {
			t.Fatal(err)
		}
		for until := time.Now().Add(10 * time.Second); ; {
			if quiet, _ := eventloop.Quiet(c, false); !quiet {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("%s: it stayed quiet", name)
			}
			<-time.After(time.Millisecond)
		}
		_ = c.Close()
	}
	if _, ok := eventloop.Quiet(struct{ net.Conn }{}, true); ok {
		t.Error("something is known of a connection of no loop")
	}
}

// TestDescriptorsThatAreUsedAgainGetNoOthersEvents opens and closes connections as fast
// as it can, so that events are under way for descriptors that have a new owner.
func TestDescriptorsThatAreUsedAgainGetNoOthersEvents(t *testing.T) {
	t.Parallel()
	g := eventlooptest.Start(t)
	var wrong atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 200 {
				theirs, ended := task(t, g, func(_ *eventloop.Task, c net.Conn) {
					got := make([]byte, 3)
					if _, err := io.ReadFull(c, got); err != nil && i%3 != 0 || err == nil && string(got) != "abc" {
						wrong.Add(1)
					}
				})
				if i%3 == 0 {
					_ = theirs.Close() // before it says anything
				} else if _, err := theirs.Write([]byte("abc")); err != nil {
					wrong.Add(1)
				}
				wait(t, "the end of a task", ended)
				_ = theirs.Close()
			}
		})
	}
	group.Wait()
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d connections went wrong", n)
	}
}
