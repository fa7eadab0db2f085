package connection

import (
	"net"
	"sync"
	"time"
)

// deadlinePrecision is how much later than at its time a deadline may take effect.
const deadlinePrecision = 500 * time.Millisecond

// Deadlines watches the deadlines of many connections at once. A deadline of package net
// costs three readings of the clock and a timer, and a proxy moves five of them for each
// request, nearly always before any of them is due: more work than to parse the request.
// Those of a connection in Deadlines cost the store of a time, and take effect within
// deadlinePrecision. The zero value is ready to use. It is safe for concurrent use.
type Deadlines struct {
	mu    sync.Mutex
	conns map[*timedConn]struct{}
	timer *time.Timer // nil until there is a connection
}

// Watch returns a connection like conn whose deadlines are these, until it is closed.
func (d *Deadlines) Watch(conn *net.TCPConn) net.Conn {
	s, err := newSocket(conn)
	if err != nil {
		return conn // It is closed.
	}
	c := &timedConn{socket: s, of: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		d.conns = map[*timedConn]struct{}{}
	}
	d.conns[c] = struct{}{}
	if d.timer == nil {
		d.timer = time.AfterFunc(deadlinePrecision, d.expire)
	} else if len(d.conns) == 1 {
		d.timer.Reset(deadlinePrecision)
	}
	return c
}

// expire makes the deadlines that are due take effect, and returns later, as long as there are
// connections.
func (d *Deadlines) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for c := range d.conns {
		c.expire(now)
	}
	if len(d.conns) > 0 {
		d.timer.Reset(deadlinePrecision)
	}
}

func (d *Deadlines) remove(c *timedConn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

type timedConn struct {
	*socket
	of *Deadlines

	mu          sync.Mutex
	read, write deadline
}

type deadline struct {
	at      time.Time // zero is never
	expired bool      // it has been applied to the connection
}

// set stores a deadline, and reports whether the previous one has been applied to the
// connection, which has to be undone.
func (d *deadline) set(at time.Time) (undo bool) {
	undo = d.expired
	*d = deadline{at: at}
	return undo
}

// expire reports whether the deadline has passed and has to be applied to the connection.
func (d *deadline) expire(now time.Time) bool {
	if d.expired || d.at.IsZero() || d.at.After(now) {
		return false
	}
	d.expired = true
	return true
}

// past is before every deadline.
var past = time.Unix(1, 0)

func (c *timedConn) expire(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// It fails on a closed connection only.
	if c.read.expire(now) {
		_ = c.TCPConn.SetReadDeadline(past)
	}
	if c.write.expire(now) {
		_ = c.TCPConn.SetWriteDeadline(past)
	}
}

// SetReadDeadline implements net.Conn.
func (c *timedConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read.set(t) {
		return nil
	}
	return c.TCPConn.SetReadDeadline(time.Time{})
}

// SetWriteDeadline implements net.Conn.
func (c *timedConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.write.set(t) {
		return nil
	}
	return c.TCPConn.SetWriteDeadline(time.Time{})
}

// SetDeadline implements net.Conn.
func (c *timedConn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// Close implements net.Conn.
func (c *timedConn) Close() error {
	c.of.remove(c)
	return c.TCPConn.Close()
}
