// Package connection bounds the client connections of the gateway: in all, and per client
// address, where an IPv6 address counts by its /64 prefix (RFC 6177: a site has at least
// that much).
//
// A connection over the cap of its address is refused. At the total cap a new connection
// evicts one that waits for its client, idle or with an unfinished request, of the address
// that has the most connections; so a client that opens many connections loses its own
// before those of others.
//
// It also makes the system calls of sockets and watches the deadlines of many connections
// together (Deadlines, Send).
package connection

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/clientaddr"
	"ecommerce-stack.dev/services/internal/telemetry"
)

// Limits of the connections of a Listener.
type Limits struct {
	// Max is the total cap, PerAddress the cap of one client address.
	Max, PerAddress int
	// Exempt reports whether an address has no cap of its own, as a trusted proxy, which
	// connects for many clients.
	Exempt func(netip.Addr) bool
	// Refusal is written to a connection that is refused, unless it is empty.
	Refusal []byte
}

// candidates bounds how many connections are looked at to find one to close.
const candidates = 64

// Table contains the open connections of listeners. It is safe for concurrent use.
type Table struct {
	limits    Limits
	deadlines Deadlines
	refused   *prometheus.CounterVec
	evicted   prometheus.Counter

	mu        sync.Mutex
	open      map[*Conn]struct{}
	addresses map[netip.Addr]int
}

// NewTable registers the metrics of connections with reg.
func NewTable(l Limits, reg prometheus.Registerer) *Table {
	t := &Table{limits: l, open: map[*Conn]struct{}{}, addresses: map[netip.Addr]int{},
		refused: telemetry.NewCounterVec("gateway_connections_refused_total",
			"Connections refused at a cap, by the cap: address or total.", "cap", capAddress, capTotal),
		evicted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_connections_evicted_total", Help: "Connections without a complete request that were closed at the total cap to admit another.",
		}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	reg.MustRegister(t.refused, t.evicted,
		gauge("gateway_connections", "Open client connections.", func() float64 { return float64(t.Open()) }),
		gauge("gateway_connections_limit", "Total cap of client connections.", func() float64 { return float64(l.Max) }),
		gauge("gateway_address_connections", "Open connections of the client address that has the most.", func() float64 { return float64(t.largest()) }),
		gauge("gateway_address_connections_limit", "Cap of the connections of one client address.", func() float64 { return float64(l.PerAddress) }))
	return t
}

// Values of the label cap.
const (
	capAddress = "address"
	capTotal   = "total"
)

// Open returns the number of open connections.
func (t *Table) Open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

func (t *Table) largest() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	most := 0
	for _, n := range t.addresses {
		most = max(most, n)
	}
	return most
}

// CloseAll closes every open connection.
func (t *Table) CloseAll() {
	t.mu.Lock()
	open := make([]*Conn, 0, len(t.open))
	for c := range t.open {
		open = append(open, c)
	}
	t.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // the client may have closed it
	}
}

// Listen returns a listener that accepts from l what the limits allow, as *Conn.
func (t *Table) Listen(l net.Listener) net.Listener { return &listener{l, t} }

type listener struct {
	net.Listener
	table *Table
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		switch {
		case err == nil:
			if c := l.table.admit(raw); c != nil {
				return c, nil
			}
		case isTransient(err):
			l.table.evictOne()
			time.Sleep(acceptPause)
		default:
			return nil, err
		}
	}
}

// acceptPause is the time between two attempts when the system is out of resources.
const acceptPause = 10 * time.Millisecond

// isTransient reports whether accepting may succeed later: the client has disconnected, or
// the process or the system has too many files open or too little memory (accept(2)).
func isTransient(err error) bool {
	for _, transient := range []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, transient) {
			return true
		}
	}
	return false
}

// evictOne closes a connection that waits for its client, if there is one.
func (t *Table) evictOne() {
	t.mu.Lock()
	victim := t.evict()
	t.mu.Unlock()
	if victim != nil {
		_ = victim.Close() // the client may have closed it
	}
}

// admit returns nil for a connection that it has refused.
func (t *Table) admit(raw net.Conn) *Conn {
	c := &Conn{Conn: raw, table: t, remote: raw.RemoteAddr().String()}
	if tcp, ok := raw.(*net.TCPConn); ok {
		c.Conn = t.deadlines.Watch(tcp)
	}
	if peer, err := netip.ParseAddrPort(c.remote); err == nil {
		c.peer = peer.Addr().Unmap()
	}
	c.key = clientaddr.Subscriber(c.peer)
	c.since.Store(time.Now().UnixNano())
	victim, refusal := t.add(c)
	if victim != nil {
		_ = victim.Close() // the client may have closed it
	}
	if refusal == "" {
		return c
	}
	t.refused.WithLabelValues(refusal).Inc()
	_, _ = raw.Write(t.limits.Refusal) // fits in the empty send buffer; the client may have disconnected
	_ = c.Conn.Close()
	return nil
}

// add admits c, or returns the cap that refuses it, and returns the connection that it
// evicts for c.
func (t *Table) add(c *Conn) (victim *Conn, refusal string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.addresses[c.key] >= t.limits.PerAddress && !t.limits.Exempt(c.peer) {
		return nil, capAddress
	}
	if len(t.open) >= t.limits.Max {
		if victim = t.evict(); victim == nil {
			return nil, capTotal
		}
	}
	t.open[c] = struct{}{}
	t.addresses[c.key]++
	return victim, ""
}

// evict removes a connection that waits for its client. It looks at a random sample,
// which a map's order of iteration gives.
func (t *Table) evict() *Conn {
	var victim *Conn
	seen := 0
	for c := range t.open {
		if seen++; seen > candidates {
			break
		}
		if c.state.Load() == waiting && (victim == nil || t.evictBefore(c, victim)) {
			victim = c
		}
	}
	if victim == nil || !victim.state.CompareAndSwap(waiting, evicted) {
		return nil
	}
	t.remove(victim)
	t.evicted.Inc()
	return victim
}

// evictBefore reports whether a is closed before b: its address has more
// connections, or as many and its last request is older.
func (t *Table) evictBefore(a, b *Conn) bool {
	if n, m := t.addresses[a.key], t.addresses[b.key]; n != m {
		return n > m
	}
	return a.since.Load() < b.since.Load()
}

func (t *Table) remove(c *Conn) {
	if _, ok := t.open[c]; !ok {
		return
	}
	delete(t.open, c)
	if t.addresses[c.key]--; t.addresses[c.key] == 0 {
		delete(t.addresses, c.key)
	}
}

// States of a connection.
const (
	waiting int32 = iota // for the client: for a request, or for the rest of one
	serving              // a request, which is complete
	evicted
)

// Conn is a connection in a Table.
type Conn struct {
	net.Conn
	table  *Table
	peer   netip.Addr
	key    netip.Addr // what its address counts as
	remote string
	state  atomic.Int32
	since  atomic.Int64 // when its last request began, in Unix nanoseconds
	linger atomic.Bool
}

// Of returns the Conn of a connection that a listener of this package accepted, also below
// TLS; nil for another one.
func Of(conn net.Conn) *Conn {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	c, _ := conn.(*Conn)
	return c
}

// Peer returns the address at the other end; it is not valid for a connection that has
// no IP address.
func (c *Conn) Peer() netip.Addr { return c.peer }

// Remote returns the address and port at the other end.
func (c *Conn) Remote() string { return c.remote }

// Serve reports whether the connection may serve a request that began at a time, until Wait.
// It is false for one that was evicted.
func (c *Conn) Serve(began time.Time) bool {
	c.since.Store(began.UnixNano())
	return c.state.CompareAndSwap(waiting, serving) || c.state.Load() == serving
}

// Wait marks the connection as waiting for its client.
func (c *Conn) Wait() { c.state.CompareAndSwap(serving, waiting) }

// A connection that lingers is closed after this time, or when the client has sent this much.
const (
	lingerTime  = 2 * time.Second
	lingerBytes = 2 << 20
)

// Linger makes Close send what was written, and wait for the client to read it: a client
// that still sends would otherwise lose the response (RFC 9112, section 9.6).
func (c *Conn) Linger() { c.linger.Store(true) }

// Close implements net.Conn.
func (c *Conn) Close() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok && c.linger.Swap(false) && half.CloseWrite() == nil {
		go c.drain()
		return nil
	}
	return c.close()
}

func (c *Conn) drain() {
	if c.SetReadDeadline(time.Now().Add(lingerTime)) == nil {
		_, _ = io.CopyN(io.Discard, c.Conn, lingerBytes) // until the client closes its side, or a limit
	}
	_ = c.close() // it may be closed already
}

func (c *Conn) close() error {
	c.table.mu.Lock()
	c.table.remove(c)
	c.table.mu.Unlock()
	return c.Conn.Close()
}
