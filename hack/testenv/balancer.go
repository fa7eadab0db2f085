package testenv

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

const (
	// checkInterval is the time between two checks of a node, and checkTimeout the time after which one
	// that does not respond is not used, which is for a busy machine.
	checkInterval = 200 * time.Millisecond
	checkTimeout  = 3 * time.Second
)

// Balancer accepts connections and forwards them to nodes of a cluster that accept writes, as a proxy in
// front of it does. It closes the connections to a node that is not.
type Balancer struct {
	// DSN is the data source name of the administrator, and Address the host and port.
	DSN, Address string

	spread   bool
	listener net.Listener
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu     sync.Mutex
	nodes  []*balancedNode
	last   int // the index of the node of the last connection
	closed bool
}

// balancedNode is a node with its connections.
type balancedNode struct {
	*MySQLServer
	accepts     bool
	connections map[net.Conn]bool
}

// Balance returns a balancer in front of the cluster. With spread it uses the nodes in turn, else one node
// until that is lost, and then another one.
func (c *Cluster) Balance(spread bool) (*Balancer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for connections to the cluster: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Balancer{Address: l.Addr().String(), DSN: administratorDSN("tcp", l.Addr().String(), c.password), spread: spread, listener: l, stop: stop}
	for _, s := range c.Nodes {
		status, err := c.status(ctx, s)
		n := &balancedNode{MySQLServer: s, accepts: err == nil && status.accepts, connections: map[net.Conn]bool{}}
		b.nodes = append(b.nodes, n)
		b.running.Go(func() { b.check(ctx, c, n) })
	}
	b.running.Go(b.accept)
	return b, nil
}

// Active returns the node of the last connection.
func (b *Balancer) Active() *MySQLServer {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes[b.last].MySQLServer
}

// check updates the state of a node until ctx is done.
func (b *Balancer) check(ctx context.Context, c *Cluster, n *balancedNode) {
	tick := time.NewTicker(checkInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		checking, cancel := context.WithTimeout(ctx, checkTimeout)
		status, err := c.status(checking, n.MySQLServer)
		cancel()
		b.mu.Lock()
		n.accepts = err == nil && status.accepts
		if !n.accepts {
			n.disconnect()
		}
		b.mu.Unlock()
	}
}

// disconnect closes the connections of the clients. The caller holds the mutex.
func (n *balancedNode) disconnect() {
	for conn := range n.connections {
		_ = conn.Close()
	}
}

func (b *Balancer) accept() {
	for {
		client, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.running.Go(func() { b.forward(client) })
	}
}

// forward connects a client to a node until one of them ends the connection.
func (b *Balancer) forward(client net.Conn) {
	defer client.Close()
	n := b.choose(client)
	if n == nil {
		return
	}
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(n.connections, client)
	}()
	dialing, cancel := context.WithTimeout(context.Background(), checkTimeout)
	server, err := n.namespace.dial(dialing, n.Address)
	cancel()
	if err != nil {
		return
	}
	var requests sync.WaitGroup
	requests.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	_, _ = io.Copy(client, server)
	_ = client.Close()
	requests.Wait()
}

// choose returns the node for a client, nil if none accepts writes.
func (b *Balancer) choose(client net.Conn) *balancedNode {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := b.last
	if b.spread {
		next++
	}
	for i := range b.nodes {
		if n := b.nodes[(next+i)%len(b.nodes)]; n.accepts && !b.closed {
			b.last = slices.Index(b.nodes, n)
			n.connections[client] = true
			return n
		}
	}
	return nil
}

// Stop closes the connections and the address.
func (b *Balancer) Stop() {
	b.stop()
	_ = b.listener.Close()
	b.mu.Lock()
	b.closed = true
	for _, n := range b.nodes {
		n.disconnect()
	}
	b.mu.Unlock()
	b.running.Wait()
}
