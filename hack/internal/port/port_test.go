package port

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

func TestTakenPortNamesItsProcess(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	err = Check(port)
	if want := fmt.Sprintf("port.test (pid %d): stop that process, or choose another port with PORT=", os.Getpid()); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want ... %s", err, want)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Check(port); err != nil {
		t.Errorf("the port is free: %v", err)
	}
}

func TestListenersIgnoresConnections(t *testing.T) {
	t.Parallel()
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   1: 0100007F:1389 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
   2: 0100007F:138A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0
`
	if got := listeners(table, 5001); len(got) != 1 || got[0] != "4711" {
		t.Errorf("got %q, want the socket 4711 only", got)
	}
}
