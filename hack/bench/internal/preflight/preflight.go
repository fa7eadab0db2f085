// Package preflight stops a run that could not end well before it begins, with what to
// do about it.
package preflight

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// Program that must be installed, and the Debian package that has it.
type Program struct{ Path, Package string }

// Servers that the system and the baselines run on.
var Servers = []Program{
	{"/usr/sbin/mariadbd", "mariadb-server-core"},
	{"mariadb-install-db", "mariadb-server-core mariadb-client-core"},
	{"/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"},
	{"epmd", "erlang-base"},
}

// Peers that the gateway is compared with, and the client that loads them all.
var Peers = []Program{
	{"wrk", "wrk"}, {"/usr/sbin/nginx", "nginx-light"}, {"/usr/sbin/haproxy", "haproxy"}, {"/usr/sbin/varnishd", "varnish"},
}

// History is what reads earlier revisions.
var History = []Program{{"git", "git"}}

// Installed fails when programs are missing.
func Installed(programs []Program) error {
	var names, packages []string
	for _, p := range programs {
		if _, err := exec.LookPath(p.Path); err != nil {
			names = append(names, p.Path)
			packages = append(packages, strings.Fields(p.Package)...)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(packages)
	return fmt.Errorf("%s: not installed; run `make bench`, which installs what it needs as root, or\n\n  sudo apt-get install -y --no-install-recommends %s",
		strings.Join(names, ", "), strings.Join(slices.Compact(packages), " "))
}

// Files that a run may have open at once.
const Files = 8192

// RaiseFiles raises the limit of open files as far as the load needs it.
func RaiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	wanted, err := raised(limit)
	if err != nil || wanted == limit {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", wanted.Cur, err)
	}
	return nil
}

func raised(limit syscall.Rlimit) (syscall.Rlimit, error) {
	if limit.Max < Files {
		return limit, fmt.Errorf("a process may open %d files, the bench needs %d: raise the hard limit first (`ulimit -Hn %d` as root, or `nofile` in /etc/security/limits.conf)",
			limit.Max, Files, Files)
	}
	limit.Cur = max(limit.Cur, Files)
	return limit, nil
}

// Space fails when the disk that holds a folder has too little room. less is how to ask
// for a run that needs not so much.
func Space(dir string, bytes uint64, less string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("look for room in %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < bytes {
		return fmt.Errorf("%s has %d MiB free, this run needs about %d: make room, set TMPDIR to a folder of a disk that has it, or %s",
			dir, free>>20, bytes>>20, less)
	}
	return nil
}

// Free fails when somebody listens on an address.
func Free(address string) error {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("something listens on %s already: stop it (`ss -ltnp` says what it is), or leave out --addr for a free port", address)
	}
	if err != nil {
		return fmt.Errorf("--addr %s is no address to listen on: %w", address, err)
	}
	return l.Close()
}
