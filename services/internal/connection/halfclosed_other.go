//go:build !linux

package connection

// HalfClosed reports false: other systems have no portable way to ask without reading.
// The gateway runs on Linux.
func (c *Conn) HalfClosed() bool { return false }
