package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// namespace is the network of a node of a cluster, with a link to each of the other nodes. It has no name. The
// kernel removes it with its links when this process and the node have ended, so nothing remains of a run that
// is killed, and runs at the same time do not see each other.
type namespace struct{ file *os.File }

func newNamespace() (*namespace, error) {
	var n namespace
	err := moved(func() error { return unix.Unshare(unix.CLONE_NEWNET) }, func() (err error) {
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make a network for the nodes of a cluster: %w: run this as root", err)
	}
	return &n, nil
}

// run calls do on a thread in the namespace, of which the programs are that do starts. A nil namespace is that of
// this process.
func (n *namespace) run(do func() error) error {
	if n == nil {
		return do()
	}
	return moved(func() error { return unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET) }, do)
}

// moved calls move, which moves its thread to another network, then do on the same thread, and moves it back.
func moved(move, do func() error) error {
	runtime.LockOSThread()
	own, err := os.Open("/proc/thread-self/ns/net")
	if err == nil {
		defer own.Close()
		err = move()
	}
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = do()
	if back := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); back != nil {
		// The thread remains locked, so that nothing else uses the wrong network.
		return errors.Join(err, fmt.Errorf("move a thread back to its network: %w", back))
	}
	runtime.UnlockOSThread()
	return err
}

// dial connects to an address in the namespace.
func (n *namespace) dial(ctx context.Context, address string) (conn net.Conn, err error) {
	err = n.run(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

// ip runs commands of the program ip in the namespace. A library for netlink would be a dependency of all
// modules whose tests start servers.
func (n *namespace) ip(ctx context.Context, commands []string) error {
	program, err := find("iproute2", "ip")
	if err != nil {
		return err
	}
	return n.run(func() error {
		cmd := exec.CommandContext(ctx, program, "-batch", "-")
		cmd.Stdin = strings.NewReader(strings.Join(commands, "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("run ip: %w\n%s", err, out)
		}
		return nil
	})
}

// network has the namespaces of the nodes of a cluster. Each two of them have a link of their own.
type network []*namespace

// newNetwork returns the network of a number of nodes.
func newNetwork(ctx context.Context, nodes int) (n network, err error) {
	defer func() {
		if err != nil {
			n.close()
		}
	}()
	for range nodes {
		ns, err := newNamespace()
		if err != nil {
			return n, err
		}
		n = append(n, ns)
	}
	for i, ns := range n {
		commands := []string{"link set lo up"}
		for j := range i {
			commands = append(commands, fmt.Sprintf("link add to-%d address %s type veth peer name to-%d address %s netns /proc/%d/fd/%d",
				j, hardwareAddress(i, j), i, hardwareAddress(j, i), os.Getpid(), n[j].file.Fd()))
		}
		if err := ns.ip(ctx, commands); err != nil {
			return n, err
		}
	}
	for i, ns := range n {
		var commands []string
		for j := range n {
			if j != i {
				commands = append(commands, fmt.Sprintf("address add %s peer %s dev to-%d", nodeAddress(i), nodeAddress(j), j), fmt.Sprintf("link set to-%d up", j))
			}
		}
		if err := ns.ip(ctx, commands); err != nil {
			return n, err
		}
	}
	return n, n.isolate(ctx, func(int) bool { return false })
}

// nodeAddress returns the address of a node for the others.
func nodeAddress(node int) string { return fmt.Sprintf("10.0.0.%d", node+1) }

// hardwareAddress returns the address of the interface of a node that leads to another one.
func hardwareAddress(node, to int) string { return fmt.Sprintf("02:00:00:00:%02x:%02x", node+1, to+1) }

// isolate separates the isolated nodes from all others and from each other, and connects the rest. Packets between
// separated nodes get a hardware address that no interface has, and vanish without any sign for the sender.
func (n network) isolate(ctx context.Context, isolated func(node int) bool) error {
	for i, ns := range n {
		var commands []string
		for j := range n {
			if j == i {
				continue
			}
			to := hardwareAddress(j, i)
			if isolated(i) || isolated(j) {
				to = hardwareAddress(len(n), len(n))
			}
			commands = append(commands, fmt.Sprintf("neighbor replace %s lladdr %s dev to-%d nud permanent", nodeAddress(j), to, j))
		}
		if err := ns.ip(ctx, commands); err != nil {
			return err
		}
	}
	return nil
}

func (n network) close() {
	for _, ns := range n {
		_ = ns.file.Close()
	}
}
