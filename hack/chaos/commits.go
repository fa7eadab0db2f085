package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// commits is a proxy before the database that can end a connection exactly when a transaction commits. It
// is no toxic of an edge, because toxics of the two directions of a connection have no common state.
type commits struct {
	listener net.Listener
	upstream string
	running  sync.WaitGroup

	mu       sync.Mutex
	stopped  bool
	open     map[net.Conn]bool
	when     moment
	selected func() bool
	ended    atomic.Int64 // connections
}

// moment is when a connection ends.
type moment int

const (
	never        moment = iota
	beforeCommit        // The statement does not reach the server.
	afterCommit         // The server has responded, and the response does not reach the client.
)

func newCommits(upstream string) (*commits, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the proxy of commits: %w", err)
	}
	c := &commits{listener: listener, upstream: upstream, open: map[net.Conn]bool{}}
	c.running.Go(c.accept)
	return c, nil
}

func (c *commits) address() string { return c.listener.Addr().String() }

// interrupt ends connections at a moment of the commits that the caller selects, until end is called.
func (c *commits) interrupt(when moment, selected func() bool) (end func()) {
	c.set(when, selected)
	return func() { c.set(never, nil) }
}

func (c *commits) set(when moment, selected func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.when, c.selected = when, selected
}

// next returns when the connection of a commit ends.
func (c *commits) next() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.when == never || !c.selected() {
		return never
	}
	return c.when
}

// stop closes all connections, and waits until the proxy has ended.
func (c *commits) stop() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.stopped = true
	for conn := range c.open {
		_ = conn.Close()
	}
	c.mu.Unlock()
	c.running.Wait()
}

func (c *commits) accept() {
	for {
		client, err := c.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		c.running.Go(func() { c.forward(client) })
	}
}

func (c *commits) forward(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", c.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	if !c.add(client, server) {
		return
	}
	defer c.remove(client, server)
	var committing atomic.Bool
	var responses sync.WaitGroup
	responses.Go(func() {
		defer client.Close()
		copyUntil(client, server, func([]byte) bool {
			if committing.Load() {
				c.ended.Add(1)
			}
			return committing.Load()
		})
	})
	var s session
	copyUntil(server, client, func(sent []byte) bool {
		if !s.commits(sent) {
			return false
		}
		when := c.next()
		if when == beforeCommit {
			c.ended.Add(1)
		}
		committing.Store(when == afterCommit)
		return when == beforeCommit
	})
	_ = server.Close()
	responses.Wait()
}

// add reports whether the proxy still runs, in which case stop closes the connections.
func (c *commits) add(conns ...net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		c.open[conn] = true
	}
	return !c.stopped
}

func (c *commits) remove(conns ...net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range conns {
		delete(c.open, conn)
	}
}

// copyUntil forwards what it reads, until ends is true for it or a connection ends.
func copyUntil(to, from net.Conn, ends func([]byte) bool) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if ends(buffer[:n]) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// session is the state of a connection to the database.
type session struct{ inTransaction bool }

// writing are the beginnings of statements that commit outside of a transaction.
var writing = [][]byte{[]byte("INSERT"), []byte("UPDATE"), []byte("DELETE"), []byte("REPLACE")}

// commits reports whether a packet of the client commits. A client waits for the response before it sends
// the next packet, so that each begins a read:
// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html
func (s *session) commits(packet []byte) bool {
	const header, query = 4, 3
	if len(packet) <= header || packet[3] != 0 || packet[header] != query {
		return false
	}
	statement := packet[header+1:]
	switch {
	case bytes.HasPrefix(statement, []byte("START TRANSACTION")):
		s.inTransaction = true
	case bytes.Equal(statement, []byte("ROLLBACK")):
		s.inTransaction = false
	case bytes.Equal(statement, []byte("COMMIT")):
		s.inTransaction = false
		return true
	case !s.inTransaction:
		return slices.ContainsFunc(writing, func(begin []byte) bool { return bytes.HasPrefix(statement, begin) })
	}
	return false
}
