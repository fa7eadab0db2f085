package connection

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// Limits of Dial. A handshake inside a cluster takes less than a millisecond.
const (
	// dialAttempt is the timeout of one attempt, dialAttempts the number of attempts.
	dialAttempt  = 250 * time.Millisecond
	dialAttempts = 6
	// unacknowledged is how long a connection lasts whose peer does not acknowledge what was sent.
	unacknowledged = time.Second
)

// Dial connects to the endpoints behind an address. The address of a Service leads each connection
// to another pod, and for a few seconds also to one that was killed and does not respond. So an
// attempt is short, and is repeated at once: nothing was sent yet. Other errors, such as a refused
// connection, are returned. The system closes the connection, also while it is in use, when
// the peer has vanished.
func Dial(ctx context.Context, addr string) (*net.TCPConn, error) {
	dialer := net.Dialer{Timeout: dialAttempt, Control: func(_, _ string, raw syscall.RawConn) error {
		return endUnacknowledged(raw, unacknowledged)
	}}
	var errs []error
	for range dialAttempts {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.(*net.TCPConn), nil
		}
		errs = append(errs, err)
		if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() || ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("connect to %s: %w", addr, errors.Join(errs...))
}
