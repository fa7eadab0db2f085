// Package eventloop lets code that is written for goroutines and net.Conn run on event
// loops. A Task is such code, with connections of its own. While it is on its loop it
// is a coroutine (iter.Pull): when it would wait for a connection it hands the thread
// back to the loop, which goes on with whichever task has something to read, and no
// scheduler comes in between. What is ready together is done together, one after
// another, on a processor whose caches know it; a proxy spends more on waking
// goroutines one by one, and lets its peers do so, than on its own work.
//
// A task on its loop may wait for connections of that loop and for short locks, and for
// nothing else: everything else on the loop waits with it. Before it waits for a
// channel, another goroutine, a name or a timer it calls Leave, and then runs in a
// goroutine of its own, with the same connections, until Join.
//
// Loops are made of epoll, so they exist on Linux; elsewhere Start says
// errors.ErrUnsupported, and the same code runs in goroutines.
package eventloop

import (
	"context"
	"iter"
)

// Task is code that runs on a loop, or beside it. Its methods are for the task itself.
// A nil Task is any goroutine: it is on no loop.
type Task struct {
	loop *Loop
	// resume goes on with the task until it waits, and says whether it has not ended;
	// wait goes back to whoever called resume.
	resume func() (struct{}, bool)
	wait   func(struct{}) bool
	on     bool // the loop
}

func newTask(l *Loop, body func(*Task)) *Task {
	t := &Task{loop: l, on: true}
	t.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		t.wait = yield
		body(t)
	})
	return t
}

// On says whether the task is on its loop.
func (t *Task) On() bool { return t != nil && t.on }

// Leave takes the task off its loop: from now on it may wait for anything.
func (t *Task) Leave() {
	if t.On() {
		t.on = false
		t.wait(struct{}{})
	}
}

// Yield lets the others of the loop go first, for a task that never has to wait.
func (t *Task) Yield() {
	if t.On() {
		t.loop.post(t)
		t.wait(struct{}{})
	}
}

// Join brings the task back to its loop.
func (t *Task) Join() {
	if t != nil && !t.on {
		t.wait(struct{}{})
		t.on = true
	}
}

// step goes on with a task that is on the loop.
func (t *Task) step() {
	if _, more := t.resume(); more && !t.on {
		go t.beside()
	}
}

// beside runs a task that has left its loop until it joins it again.
func (t *Task) beside() {
	if _, more := t.resume(); more {
		t.loop.post(t)
	}
}

type taskKey struct{}

// Key finds the task that a context belongs to, by its method Value.
var Key any = taskKey{}

// Of is the task that ctx belongs to, nil when that is none.
func Of(ctx context.Context) *Task {
	t, _ := ctx.Value(Key).(*Task)
	return t
}

// Loop is the number of the task's loop in its group.
func (t *Task) Loop() int { return t.loop.index }
