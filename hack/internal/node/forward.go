package node

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// forward passes each connection that the listener accepts on to the address.
// The listener may be of another network namespace: a socket stays in the one
// where it was made.
func forward(ctx context.Context, listener net.Listener, address string) {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			slog.Error("accept", "for", address, "error", err.Error())
			time.Sleep(100 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		go pass(ctx, conn, address)
	}
}

// pass closes the connection at once when nobody listens at the address, as a
// port would refuse it.
func pass(ctx context.Context, outer net.Conn, address string) {
	defer outer.Close()
	inner, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer inner.Close()
	var both sync.WaitGroup
	both.Go(func() { copyHalf(inner, outer) })
	both.Go(func() { copyHalf(outer, inner) })
	both.Wait()
}

// copyHalf copies one direction and passes its end on; a broken connection
// breaks the other, too.
func copyHalf(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
