// Package port checks that a TCP port is free, and finds the process that listens on one.
package port

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Check returns an error unless the port of the loopback interface is free. The error has the
// process that listens on the port, and the fix.
func Check(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		return listener.Close()
	}
	return fmt.Errorf("port %d of the loopback interface, which the gateway requires, is in use%s: stop that process, or choose another port with PORT=", port, owner(port))
}

// owner returns the process that listens on the port, formatted for an error message, or "" if
// it belongs to another user.
func owner(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		content, err := os.ReadFile(table)
		if err != nil {
			continue // a kernel without IPv6, or another system
		}
		for _, inode := range listeners(string(content), port) {
			inodes["socket:["+inode+"]"] = true
		}
	}
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, descriptor := range descriptors {
		if target, err := os.Readlink(descriptor); err == nil && inodes[target] {
			process := filepath.Dir(filepath.Dir(descriptor))
			name, err := os.ReadFile(filepath.Join(process, "comm"))
			if err != nil {
				continue // The process has ended.
			}
			return fmt.Sprintf(" by %s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(process))
		}
	}
	return ""
}

// The columns of /proc/net/tcp (proc_pid_net(5)).
const (
	localAddress = 1
	socketState  = 3
	socketInode  = 9
	listening    = "0A"
)

// listeners returns the inodes of the sockets of a table that listen on the port.
func listeners(table string, port int) []string {
	var inodes []string
	for line := range strings.Lines(table) {
		columns := strings.Fields(line)
		if len(columns) > socketInode && columns[socketState] == listening && strings.HasSuffix(columns[localAddress], fmt.Sprintf(":%04X", port)) {
			inodes = append(inodes, columns[socketInode])
		}
	}
	return inodes
}
