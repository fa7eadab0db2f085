package bare

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/node"
	"ecommerce-stack.dev/hack/internal/release"
)

// gatewayPort is where the store answers on this machine; gatewayNodePort is
// the sample stack's port inside. kind.yaml maps them alike.
const (
	gatewayPort     = 5001
	gatewayNodePort = 30501
)

// Free disk space that a cluster needs, with the builds still to be made and
// without.
const (
	spaceToBuild = 8 << 30
	spaceToRun   = 2 << 30
)

// Preflight says, before anything has been done, all that is in the way of Up
// and what to do about each.
func (c *Cluster) Preflight() error {
	if err := suits(runtime.GOOS, os.Geteuid()); err != nil {
		return err
	}
	var errs []error
	if missing := debian.Missing(Packages); len(missing) > 0 {
		errs = append(errs, debian.CanInstall(missing))
	}
	errs = append(errs, c.checkSpace(), c.checkSocketPath())
	if _, running := node.Running(c.Dir); !running {
		errs = append(errs, checkPort(gatewayPort))
	}
	return errors.Join(errs...)
}

// suits says whether a bare cluster can run at all on this system for this user.
func suits(system string, uid int) error {
	if system != "linux" {
		return errors.New("a bare cluster runs on Linux only: start Docker, install kind, and set PROVIDER=kind")
	}
	if uid != 0 {
		return errors.New("a bare cluster is made of namespaces and mounts, which takes root: run it with `sudo -E`, or start Docker, install kind, and set PROVIDER=kind")
	}
	return nil
}

func (c *Cluster) checkSpace() error {
	if err := os.MkdirAll(c.Cache, 0o755); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(c.Cache, &fs); err != nil {
		return fmt.Errorf("measure the free space of %s: %w", c.Cache, err)
	}
	need := uint64(spaceToBuild)
	if release.Built(c.Cache) {
		need = spaceToRun
	}
	return enough(c.Cache, fs.Bavail*uint64(fs.Bsize), need)
}

// enough compares the free space of a folder with what is needed, in bytes.
func enough(folder string, free, need uint64) error {
	if free >= need {
		return nil
	}
	return fmt.Errorf("%s has %.1f GB free and %d GB are needed: free some, or set XDG_CACHE_HOME to a roomier place", folder, float64(free)/(1<<30), need>>30)
}

// checkSocketPath: the kernel takes socket paths of at most 107 characters.
func (c *Cluster) checkSocketPath() error {
	if path := c.Dir.Containerd() + ".ttrpc"; len(path) > 107 {
		return fmt.Errorf("%s is too long a path for a socket: set XDG_CACHE_HOME to a shorter one", path)
	}
	return nil
}

func checkPort(port int) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err == nil {
		return listener.Close()
	}
	return fmt.Errorf("port %d of the loopback interface, where the store is to answer, is taken%s: stop what holds it", port, holder(port))
}

// holder says who listens on the port, where `ss` knows.
func holder(port int) string {
	out, err := exec.Command("ss", "-Hltnp", "sport", "=", fmt.Sprintf(":%d", port)).Output()
	if err != nil {
		return ""
	}
	return parseHolder(string(out))
}

// parseHolder reads the last column of `ss -p`: users:(("name",pid=1,fd=2)).
func parseHolder(line string) string {
	_, users, ok := strings.Cut(line, `users:(("`)
	if !ok {
		return ""
	}
	name, rest, _ := strings.Cut(users, `"`)
	_, rest, _ = strings.Cut(rest, "pid=")
	pid, _, ok := strings.Cut(rest, ",")
	if !ok {
		return ""
	}
	return fmt.Sprintf(" by %s (pid %s)", name, pid)
}
