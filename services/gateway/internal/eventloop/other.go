//go:build !linux

package eventloop

import (
	"errors"
	"net"
)

// Group is some loops that share the work.
type Group struct{}

// Loop is never made here.
type Loop struct{ index int }

func (*Loop) post(*Task) {}

// Start says that there are no loops here.
func Start(int) (*Group, error) { return nil, errors.ErrUnsupported }

// Go refuses.
func (*Group) Go(net.Conn, func(*Task, net.Conn)) error { return errors.ErrUnsupported }

// Adopt refuses.
func (*Group) Adopt(int, net.Conn) (net.Conn, error) { return nil, errors.ErrUnsupported }

// Len is 0.
func (*Group) Len() int { return 0 }

// Close does nothing.
func (*Group) Close() {}

// Bind does nothing.
func Bind(net.Conn, *Task) {}

// Quiet knows nothing.
func Quiet(net.Conn, bool) (quiet, ok bool) { return false, false }
