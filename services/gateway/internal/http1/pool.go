package http1

import (
	"sync"
	"time"

	"golang.org/x/sys/cpu"

	"ecommerce-stack.dev/services/gateway/internal/eventloop"
)

// pool keeps connections that nobody uses.
type pool struct {
	number  int
	most    int
	timeout time.Duration

	mu   sync.Mutex
	idle []*conn // the last is the one that was used last

	_ cpu.CacheLinePad // The pools of the loops are side by side.
}

func (p *pool) pop() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	last := len(p.idle) - 1
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

// keep takes a connection back whose answer was read to its end. With the newest on
// top, the others grow old: the oldest goes when its time is over.
func (p *pool) keep(c *conn) {
	eventloop.Bind(c.Conn, nil)
	c.watch = watch{}
	var old *conn
	p.mu.Lock()
	if len(p.idle) > 0 && (len(p.idle) >= p.most || c.used.Sub(p.idle[0].used) > p.timeout) {
		old = p.idle[0]
		p.idle = append(p.idle[:0], p.idle[1:]...)
	}
	p.idle = append(p.idle, c)
	p.mu.Unlock()
	if old != nil {
		old.close()
	}
}

func (p *pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.idle {
		c.close()
	}
	p.idle = nil
}
