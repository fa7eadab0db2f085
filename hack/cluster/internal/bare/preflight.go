package bare

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/cluster/internal/release"
	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/port"
)

// gatewayNodePort is the node port of the sample stack. kind.yaml maps the same one.
const gatewayNodePort = 30501

// Free disk space that a cluster requires, in bytes: with the build of the
// programs and images, and without.
const (
	buildSpace = 8 << 30
	runSpace   = 2 << 30
)

// Preflight checks the requirements of Up without changing anything. Its error
// lists every requirement that is not met, with the fix.
func (c *Cluster) Preflight() error {
	if err := checkHost(runtime.GOOS, os.Geteuid()); err != nil {
		return err
	}
	var errs []error
	if missing := debian.Missing(Packages); len(missing) > 0 {
		errs = append(errs, debian.CanInstall(missing))
	}
	errs = append(errs, c.checkSpace(), c.checkSocketPath())
	if _, running := node.Running(c.Dir); !running {
		errs = append(errs, port.Check(c.Port))
	}
	return errors.Join(errs...)
}

// checkHost returns an error if a bare cluster cannot run on this operating
// system or as this user.
func checkHost(system string, uid int) error {
	if system != "linux" {
		return errors.New("a bare cluster runs on Linux only: start Docker, install kind, and set PROVIDER=kind")
	}
	if uid != 0 {
		return errors.New("a bare cluster needs root to create namespaces and mounts: run it with `sudo -E`, or start Docker, install kind, and set PROVIDER=kind")
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
	need := uint64(buildSpace)
	if release.Built(c.Cache) {
		need = runSpace
	}
	return checkFreeSpace(c.Cache, fs.Bavail*uint64(fs.Bsize), need)
}

// checkFreeSpace returns an error if free is less than need, in bytes.
func checkFreeSpace(folder string, free, need uint64) error {
	if free >= need {
		return nil
	}
	return fmt.Errorf("%s has %.1f GiB free and %d GiB are required: delete files, or set XDG_CACHE_HOME to a folder on a larger disk", folder, float64(free)/(1<<30), need>>30)
}

// checkSocketPath returns an error if containerd's sockets exceed the kernel's
// limit of 107 bytes for socket paths (unix(7)).
func (c *Cluster) checkSocketPath() error {
	if path := c.Dir.Containerd() + ".ttrpc"; len(path) > 107 {
		return fmt.Errorf("the socket path %s exceeds 107 bytes: set XDG_CACHE_HOME to a shorter path", path)
	}
	return nil
}
