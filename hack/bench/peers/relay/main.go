// Command relay does next to nothing but the system calls that every proxy needs: it reads
// what has come from a client, writes it to the origin, reads the answer and writes it to
// the client. It is the ceiling of any proxy on the machine, as baseline B4 is that of the
// saga. What goes over the wire is as much as with our gateway: it gives requests and
// answers constant fields, as long as those that the gateway gives them.
//
// It is no proxy to use. It leaves out everything else that one does: it parses nothing,
// knows no limits, tokens, logs and timeouts, and keeps a connection to the origin for each
// client in place of a pool. It takes what a read gives for a whole message, which it is
// from a client that waits for each answer. Where it can tell that this is not so, and where
// a write does not take everything at once, it ends the connection, so that the client
// counts an error.
//
// It takes the addresses to listen on and of the origin.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: relay ADDRESS ORIGIN")
		os.Exit(2)
	}
	err := run(os.Args[1], os.Args[2])
	fmt.Fprintln(os.Stderr, "relay:", err)
	if errors.Is(err, errors.ErrUnsupported) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run relays until it cannot.
func run(address, origin string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	return serve(l, origin)
}
