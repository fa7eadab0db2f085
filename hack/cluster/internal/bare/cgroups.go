package bare

import (
	"context"
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
	"k8s.io/apimachinery/pkg/util/wait"
)

// cgroupName returns the name of the control group of the cluster's pods. It
// contains a hash of the cluster's folder, so that clusters do not share it.
func (c *Cluster) cgroupName() string {
	return fmt.Sprintf("ecommerce-stack-%x", sha256.Sum256([]byte(c.Dir)))[:len("ecommerce-stack-")+8]
}

// hierarchy is a mounted control group hierarchy (cgroups(7)).
type hierarchy struct {
	path    string
	unified bool // version 2
}

// hierarchies returns all mounted hierarchies, and those that the kubelet uses:
// the ones of version 1 if there are any, otherwise the unified one.
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

// createCgroups creates the cluster's group in each hierarchy, with the
// controllers that the kubelet requires.
func (c *Cluster) createCgroups() error {
	_, kubelets, err := mountedHierarchies()
	if err != nil {
		return err
	}
	for _, h := range kubelets {
		if h.unified {
			if err := enableControllers(h.path); err != nil {
				return err
			}
		}
		group := filepath.Join(h.path, c.cgroupName())
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("create the control group of the pods: %w", err)
		}
		if err := inheritCPUs(h.path, group); err != nil {
			return err
		}
	}
	return nil
}

// enableControllers enables every available controller of a unified hierarchy
// for the groups below its root.
func enableControllers(root string) error {
	available, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for controller := range strings.FieldsSeq(string(available)) {
		if err := os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("enable the controller %s for pods: %w", controller, err)
		}
	}
	return nil
}

// inheritCPUs copies the processors and memory nodes of the parent to a cpuset
// group of version 1, which has none when it is created.
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
			return fmt.Errorf("set the processors of the pods: %w", err)
		}
	}
	return nil
}

// removeCgroups removes the cluster's groups, which are empty after its
// supervisor has ended.
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

// removeGroup removes a group and the groups below it, deepest first. It
// returns nil if the group does not exist.
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
		if err := removeEmptyGroup(path); err != nil {
			return fmt.Errorf("remove the control group %s: %w", path, err)
		}
	}
	return nil
}

// removeEmptyGroup removes a group without subgroups. It retries for 5 seconds
// while the kernel reports it as busy, because ended processes leave it late.
func removeEmptyGroup(path string) error {
	var err error
	_ = wait.PollUntilContextTimeout(context.Background(), 20*time.Millisecond, 5*time.Second, true, func(context.Context) (bool, error) {
		err = unix.Rmdir(path)
		return !errors.Is(err, unix.EBUSY), nil
	})
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
