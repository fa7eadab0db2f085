package eventloop

import (
	"container/heap"
	"math"
	"time"
)

// Times are nanoseconds of a clock that nobody sets.
const never = math.MaxInt64

var base = time.Now()

func now() int64 { return int64(time.Since(base)) }

// clock is t on that clock.
func clock(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return int64(t.Sub(base))
}

// timers are connections by when their deadlines are to be looked at. That may be before
// any is over: a deadline that moves on with every request leaves its timer where it is.
type timers []*Conn

func (t *timers) set(c *Conn, at int64) {
	if c.due == never {
		c.due = at
		heap.Push((*timerHeap)(t), c)
		return
	}
	c.due = at
	heap.Fix((*timerHeap)(t), c.place)
}

func (t *timers) pop() *Conn {
	c := (*t)[0]
	t.remove(c)
	return c
}

func (t *timers) remove(c *Conn) {
	if c.due != never {
		heap.Remove((*timerHeap)(t), c.place)
		c.due = never
	}
}

// timerHeap implements heap.Interface.
type timerHeap []*Conn

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *timerHeap) Push(x any) {
	c := x.(*Conn)
	c.place = len(*h)
	*h = append(*h, c)
}

func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return c
}
