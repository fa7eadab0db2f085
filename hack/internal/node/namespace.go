package node

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// enter furnishes the namespaces that the supervisor was started in.
func enter(dir Dir, config Config, r *reaper) error {
	// Nothing that is mounted from here on shows outside; among the node's own
	// containers mounts do propagate, as kubelets expect.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// A /run of its own, empty as after a boot, which this is to the components.
	if err := unix.Mount("ecommerce-stack", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for _, bind := range append(config.Binds, config.Files...) {
		if err := unix.Mount(bind.From, bind.To, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s at %s: %w", bind.From, bind.To, err)
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share the mounts among containers: %w", err)
	}
	return network(dir, r)
}

// network gives the node its address. It is one of the loopback interface, as
// there is nothing else to attach it to: pods are routed to one by one.
func network(dir Dir, r *reaper) error {
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
		return fmt.Errorf("let the node forward packets: %w", err)
	}
	return nil
}
