package http1

import (
	"net"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
	"ecommerce-stack.dev/services/gateway/internal/eventloop/eventlooptest"
)

// TestAConnectionIsLookedAtBeforeARequestThatCannotBeMadeAgain closes a connection while
// its loop is held, so that the loop cannot know.
func TestAConnectionIsLookedAtBeforeARequestThatCannotBeMadeAgain(t *testing.T) {
	t.Parallel()
	loops := eventlooptest.Start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	pair := func() (ours, theirs net.Conn) {
		theirs, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if ours, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return ours, theirs
	}
	kept, upstream := pair()
	nc, err := loops.Adopt(0, kept)
	if err != nil {
		t.Fatal(err)
	}
	c := newConn(nc, &pool{})
	defer c.close()
	if !c.alive(true) || !c.alive(false) {
		t.Error("a new connection does not live")
	}
	held, release := make(chan struct{}), make(chan struct{})
	for range 2 { // one on each loop
		ours, theirs := pair()
		defer theirs.Close()
		if err := loops.Go(ours, func(_ *eventloop.Task, c net.Conn) { held <- struct{}{}; <-release; _ = c.Close() }); err != nil {
			t.Fatal(err)
		}
		<-held
	}
	_ = upstream.Close()
	for until := time.Now().Add(10 * time.Second); c.alive(false); {
		if time.Now().After(until) {
			t.Fatal("its end is not seen")
		}
	}
	close(release)
	for until := time.Now().Add(10 * time.Second); c.alive(true); {
		if time.Now().After(until) {
			t.Fatal("the loop was not told of its end")
		}
	}
}
