//go:build !linux

package main

import (
	"errors"
	"fmt"
	"net"
)

// serve says that it cannot.
func serve(net.Listener, string) error {
	return fmt.Errorf("it needs Linux, for it is made of epoll: %w", errors.ErrUnsupported)
}
