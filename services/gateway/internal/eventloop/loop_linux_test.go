package eventloop

import (
	"net"
	"syscall"
	"testing"
)

func TestAnEventOfADescriptorsFormerOwnerIsNobodys(t *testing.T) {
	t.Parallel()
	l, err := newLoop(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(l.epoll); _ = syscall.Close(l.bell) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	nc, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	adopted, err := l.adopt(nc)
	if err != nil {
		t.Fatal(err)
	}
	defer adopted.Close()
	c := adopted.(*Conn)
	for serial, want := range map[int32]int{c.serial: 1, c.serial - 1: 0} {
		ready, _, _ := l.collect([]syscall.EpollEvent{{Events: syscall.EPOLLIN, Fd: int32(c.fd), Pad: serial}}, nil, nil, nil)
		if len(ready) != want {
			t.Errorf("%d events for the connection with the serial %d, whose own is %d", len(ready), serial, c.serial)
		}
	}
}
