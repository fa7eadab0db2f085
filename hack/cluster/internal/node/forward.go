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

// forward proxies the connections that the listener accepts to the address until
// the context is canceled. The listener may belong to another network namespace.
func forward(ctx context.Context, listener net.Listener, address string) {
	stop := context.AfterFunc(ctx, func() { listener.Close() })
	defer stop()
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			slog.Error("cannot accept a connection", "address", address, "error", err.Error())
			time.Sleep(100 * time.Millisecond) // the usual cause is too many open files, which may end
			continue
		}
		go proxy(ctx, conn, address)
	}
}

// proxy copies data between the connection and the address. It closes the
// connection if it cannot connect to the address.
func proxy(ctx context.Context, outer net.Conn, address string) {
	defer outer.Close()
	inner, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer inner.Close()
	var both sync.WaitGroup
	both.Go(func() { copyOneWay(inner, outer) })
	both.Go(func() { copyOneWay(outer, inner) })
	both.Wait()
}

// copyOneWay copies from one connection to the other and then closes the write
// side of the destination. An error closes both connections.
func copyOneWay(to, from net.Conn) {
	if _, err := io.Copy(to, from); err != nil {
		to.Close()
		from.Close()
		return
	}
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
