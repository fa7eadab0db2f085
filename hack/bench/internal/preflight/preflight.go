// Package preflight checks the requirements of a run before it starts. Its errors name the
// fix.
package preflight

import (
	"fmt"
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
