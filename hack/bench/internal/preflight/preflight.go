// Package preflight checks the requirements of a run before it starts. Its errors name the
// fix.
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

// Program is a required program and the Debian package that contains it.
type Program struct{ Path, Package string }

// Servers are the programs of the database and the broker.
var Servers = []Program{
	{"/usr/sbin/mariadbd", "mariadb-server-core"},
	{"mariadb-install-db", "mariadb-server-core mariadb-client-core"},
	{"/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"},
	{"epmd", "erlang-base"},
}

// Peers are the proxies that the gateway is compared with, and the load generator.
var Peers = []Program{
	{"wrk", "wrk"}, {"/usr/sbin/nginx", "nginx-light"}, {"/usr/sbin/haproxy", "haproxy"}, {"/usr/sbin/varnishd", "varnish"},
}

// History are the programs that read earlier revisions.
var History = []Program{{"git", "git"}}

// Installed returns an error if programs are missing.
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
	return fmt.Errorf("not installed: %s; run `make bench`, which installs its requirements as root, or\n\n  sudo apt-get install -y --no-install-recommends %s",
		strings.Join(names, ", "), strings.Join(slices.Compact(packages), " "))
}

// Files is the number of files that a run can open at the same time.
const Files = 8192

// RaiseFiles raises the soft limit of open files to Files.
func RaiseFiles() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	wanted, err := raisedLimit(limit)
	if err != nil || wanted == limit {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &wanted); err != nil {
		return fmt.Errorf("raise the limit of open files to %d: %w", wanted.Cur, err)
	}
	return nil
}

func raisedLimit(limit syscall.Rlimit) (syscall.Rlimit, error) {
	if limit.Max < Files {
		return limit, fmt.Errorf("the limit of open files is %d, but the bench needs %d: raise the hard limit (`ulimit -Hn %d` as root, or `nofile` in /etc/security/limits.conf)",
			limit.Max, Files, Files)
	}
	limit.Cur = max(limit.Cur, Files)
	return limit, nil
}

// Space returns an error if the disk of a folder has less than the required free bytes.
// less describes a run that needs less.
func Space(dir string, bytes uint64, less string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("read the free space of %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < bytes {
		return fmt.Errorf("%s has %d MiB free, but this run needs about %d MiB: delete files, set TMPDIR to a folder on a larger disk, or %s",
			dir, free>>20, bytes>>20, less)
	}
	return nil
}

// Free returns an error if the address is in use or invalid.
func Free(address string) error {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s is in use: stop the process (`ss -ltnp` shows it), or omit --addr to use a free port", address)
	}
	if err != nil {
		return fmt.Errorf("--addr %s is not a valid address: %w", address, err)
	}
	return l.Close()
}
