//go:build nightly

package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// networkVariable is set in the processes of the tests that make a network and end.
const networkVariable = "TESTENV_NETWORK"

// TestMain runs the tests, or makes a network with a program in it, prints the names of its namespaces, and waits.
func TestMain(m *testing.M) {
	if os.Getenv(networkVariable) == "" {
		os.Exit(m.Run())
	}
	n, err := newNetwork(context.Background(), 3)
	if err == nil {
		_, err = spawn(n[0], os.DevNull, nil, "sleep", "600")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var names []string
	for _, ns := range n {
		_ = ns.run(func() error {
			name, err := os.Readlink("/proc/thread-self/ns/net")
			names = append(names, name)
			return err
		})
	}
	fmt.Println(strings.Join(names, " "))
	select {}
}

// makeNetwork returns the command of a process that makes a network.
func makeNetwork(t *testing.T, wrapper ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := append(slices.Clone(wrapper), program)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), networkVariable+"=1")
	return cmd
}

func TestNetworkOfAClusterEndsWithItsKilledProcess(t *testing.T) {
	t.Parallel()
	cmd := makeNetwork(t)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(line)
	// users returns the processes in the namespaces, and those that have them open.
	users := func() (found []string) {
		for _, pattern := range []string{"/proc/[0-9]*/ns/net", "/proc/[0-9]*/fd/*"} {
			links, _ := filepath.Glob(pattern)
			for _, link := range links {
				if name, err := os.Readlink(link); err == nil && slices.Contains(names, name) {
					found = append(found, link)
				}
			}
		}
		return found
	}
	if found := users(); len(names) != 3 || len(found) != 4 {
		t.Errorf("the namespaces %q are used by %q, want 3 that one process has open, and a program in one", names, found)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	Eventually(t, "no process uses the namespaces", func() bool { return len(users()) == 0 })
	if links, err := exec.CommandContext(t.Context(), "ip", "link").Output(); err != nil || strings.Contains(string(links), "to-") {
		t.Errorf("links remain: %s, %v", links, err)
	}
}

func TestNetworkOfAClusterNeedsRoot(t *testing.T) {
	t.Parallel()
	out, err := makeNetwork(t, "setpriv", "--bounding-set=-sys_admin").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "operation not permitted") || !strings.Contains(string(out), "as root") {
		t.Errorf("without the right to make namespaces: %v, %s", err, out)
	}
}

// TestPacketsBetweenIsolatedNodesVanish connects each two of three nodes, of which the first is isolated then. An
// established connection must neither end nor carry data, and continue after that.
func TestPacketsBetweenIsolatedNodesVanish(t *testing.T) {
	t.Parallel()
	n, err := newNetwork(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	for _, c := range []struct {
		from, to int
		isolated bool
	}{{0, 1, true}, {2, 0, true}, {1, 2, false}} {
		var listener net.Listener
		if err := n[c.to].run(func() (err error) {
			listener, err = net.Listen("tcp", nodeAddress(c.to)+":0")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		sender, err := n[c.from].dial(t.Context(), listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = sender.Close() })
		receiver, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = receiver.Close() })

		if err := n.isolate(t.Context(), func(i int) bool { return i == 0 }); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(sender, "x"); err != nil {
			t.Fatal(err)
		}
		// A packet needs less than a millisecond, but a second on a busy machine.
		_ = receiver.SetReadDeadline(time.Now().Add(time.Second))
		got := make([]byte, 1)
		if _, err := receiver.Read(got); errors.Is(err, os.ErrDeadlineExceeded) != c.isolated || !c.isolated && err != nil {
			t.Fatalf("from node %d to node %d: %v while isolated is %t", c.from+1, c.to+1, err, c.isolated)
		}
		dialing, cancel := context.WithTimeout(t.Context(), time.Second)
		again, err := n[c.from].dial(dialing, listener.Addr().String())
		cancel()
		if c.isolated {
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("a new connection from node %d to node %d: %v, want a timeout", c.from+1, c.to+1, err)
			}
		} else if err != nil {
			t.Error(err)
		}
		if err == nil {
			_ = again.Close()
		}

		if err := n.isolate(t.Context(), func(int) bool { return false }); err != nil {
			t.Fatal(err)
		}
		if !c.isolated {
			continue
		}
		// The sender has doubled the time to the next repetition of the packet only a few times.
		_ = receiver.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := receiver.Read(got); err != nil || got[0] != 'x' {
			t.Errorf("after the isolation node %d received %q, %v", c.to+1, got, err)
		}
	}
}
