package main

import (
	"net"
	"runtime"
)

// serve relays connections on a loop for each processor. What is not the fault of one
// connection ends it, and with it the run.
func serve(l net.Listener, origin string) error {
	loops := make([]*loop, runtime.GOMAXPROCS(0))
	failed := make(chan error, len(loops)+1)
	for i := range loops {
		var err error
		if loops[i], err = newLoop(); err != nil {
			return err
		}
		go func() { failed <- loops[i].run() }()
	}
	go func() { failed <- accept(l, origin, loops) }()
	return <-failed
}

// accept deals connections out to the loops in turn.
func accept(l net.Listener, origin string, loops []*loop) error {
	for i := 0; ; i++ {
		client, err := l.Accept()
		if err != nil {
			return err
		}
		p, err := take(client, origin)
		if err != nil {
			return err
		}
		if err := loops[i%len(loops)].add(p); err != nil {
			return err
		}
	}
}
