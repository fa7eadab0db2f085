package bare

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupName is of the control group that holds the cluster's pods; the folder
// of the cluster is in it, so that it can be no other cluster's.
func (c *Cluster) cgroupName() string {
	return fmt.Sprintf("ecommerce-stack-%x", sha256.Sum256([]byte(c.Dir)))[:len("ecommerce-stack-")+8]
}

// hierarchy is a mounted tree of control groups.
type hierarchy struct {
	path    string
	unified bool // version 2
}

// hierarchies lists the mounted trees. Where those of version 1 are mounted the
// kubelet uses them, and the unified one beside them is only runc's.
func hierarchies(mountinfo string) (all []hierarchy, kubelets []hierarchy) {
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 1 {
			continue
		}
		switch right[0] {
		case "cgroup2":
			all = append(all, hierarchy{left[4], true})
		case "cgroup":
			all = append(all, hierarchy{left[4], false})
			kubelets = append(kubelets, hierarchy{left[4], false})
		}
	}
	if len(kubelets) == 0 {
		kubelets = all[:min(1, len(all))]
	}
	return all, kubelets
}

func mountedHierarchies() (all []hierarchy, kubelets []hierarchy, err error) {
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil, err
	}
	all, kubelets = hierarchies(string(mountinfo))
	if len(all) == 0 {
		return nil, nil, errors.New("no control groups are mounted: mount cgroup2 at /sys/fs/cgroup")
	}
	return all, kubelets, nil
}

// makeCgroups makes the cluster's group in each hierarchy, with the controllers
// that the kubelet looks for.
func (c *Cluster) makeCgroups() error {
	_, kubelets, err := mountedHierarchies()
	if err != nil {
		return err
	}
	for _, h := range kubelets {
		if h.unified {
			if err := delegate(h.path); err != nil {
				return err
			}
		}
		group := filepath.Join(h.path, c.cgroupName())
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the control group of the pods: %w", err)
		}
		if err := inheritCPUs(h.path, group); err != nil {
			return err
		}
	}
	return nil
}

// delegate passes the controllers of a unified root on to the groups below.
func delegate(root string) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(available)) {
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("pass the controller %s on to pods: %w", controller, err)
		}
	}
	return nil
}

// inheritCPUs gives a cpuset group of version 1, which begins with none, the
// processors and memory nodes of its parent.
func inheritCPUs(parent, group string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(group, name), value, 0o644); err != nil {
			return fmt.Errorf("give the pods their processors: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the cluster's groups, which are empty once its
// supervisor is gone.
func (c *Cluster) removeCgroups() error {
	all, _, err := mountedHierarchies()
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range all {
		errs = append(errs, removeGroup(filepath.Join(h.path, c.cgroupName())))
	}
	return errors.Join(errs...)
}

// removeGroup removes a group and those below it, the deepest first.
func removeGroup(group string) error {
	var groups []string
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			groups = append(groups, path)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	slices.Reverse(groups)
	for _, path := range groups {
		if err := removeWhenEmpty(path); err != nil {
			return fmt.Errorf("remove the control group %s: %w", path, err)
		}
	}
	return nil
}

// removeWhenEmpty gives the kernel a moment to take the last process out.
func removeWhenEmpty(path string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Rmdir(path)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
	}
}
