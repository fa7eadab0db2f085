package node

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// setUpNamespaces mounts file systems and configures the network in the
// namespaces that the supervisor was started in.
func setUpNamespaces(dir Dir, config Config, r *reaper) error {
	// From here on mounts are invisible outside. They are made shared below,
	// because the kubelet needs mount propagation among containers.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// The components need an empty /run, as after a boot.
	if err := unix.Mount("ecommerce-stack", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, bind := range append(config.Binds, config.Files...) {
		if err := unix.Mount(bind.From, bind.To, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", bind.From, bind.To, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make the mounts shared: %w", err)
	}
	return setUpNetwork(dir, r)
}

// setUpNetwork assigns the node's address to the loopback interface, because the
// namespace has no other interface; each pod has a route.
func setUpNetwork(dir Dir, r *reaper) error {
	ip, err := lookPath("ip")
	if err != nil {
		return err
	}
	log := dir.Log("supervisor")
	if err := r.run(log, ip, "link", "set", "lo", "up"); err != nil {
		return err
	}
	if err := r.run(log, ip, "address", "add", Address+"/32", "dev", "lo"); err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return fmt.Errorf("enable IP forwarding: %w", err)
	}
	return nil
}
