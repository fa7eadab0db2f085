// Package usage reads the resource usage of processes from /proc (proc(5)).
package usage

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/procfs"
)

// tick is the unit of times in /proc/<pid>/stat. Linux reports 100 a second on every
// architecture that Go runs on (USER_HZ).
const tick = 10 * time.Millisecond

// Usage is the resource usage of processes since their start.
type Usage struct {
	// CPU is the CPU time, including that of children that have ended.
	CPU time.Duration
	// Written is the number of bytes that were written to disk.
	Written uint64
	// Resident and Peak are the current and the maximum resident memory in bytes, summed
	// over all processes.
	Resident, Peak uint64
}

// OfTree returns the usage of a process and its descendants.
func OfTree(pid int) (Usage, error) {
	sum, err := OfProcess(pid)
	if err != nil {
		return sum, err
	}
	all, err := procfs.AllProcs()
	if err != nil {
		return sum, fmt.Errorf("list the processes: %w", err)
	}
	parents := map[int]int{}
	for _, p := range all {
		if stat, err := p.Stat(); err == nil { // Otherwise it has ended.
			parents[p.PID] = stat.PPID
		}
	}
	for _, descendant := range descendants(pid, parents) {
		if u, err := OfProcess(descendant); err == nil {
			sum.CPU, sum.Written = sum.CPU+u.CPU, sum.Written+u.Written
			sum.Resident, sum.Peak = sum.Resident+u.Resident, sum.Peak+u.Peak
		}
	}
	return sum, nil
}

// OfTrees returns the usage of processes, by name, and their descendants, and that of the bench
// itself without its descendants as "bench".
func OfTrees(pids map[string]int) (map[string]Usage, error) {
	own, err := OfProcess(os.Getpid())
	all := map[string]Usage{"bench": own}
	for name, pid := range pids {
		u, failed := OfTree(pid)
		all[name], err = u, errors.Join(err, failed)
	}
	return all, err
}

// OfProcess returns the usage of a process without its descendants.
func OfProcess(pid int) (Usage, error) {
	p, err := procfs.NewProc(pid)
	if err != nil {
		return Usage{}, fmt.Errorf("process %d has ended: %w", pid, err)
	}
	stat, err := p.Stat()
	if err != nil {
		return Usage{}, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
	}
	status, err := p.NewStatus()
	if err != nil {
		return Usage{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	ticks := int(stat.UTime) + int(stat.STime) + stat.CUTime + stat.CSTime
	u := Usage{CPU: time.Duration(ticks) * tick, Resident: status.VmRSS, Peak: status.VmHWM}
	if io, err := p.IO(); err == nil { // It requires the permission to trace the process.
		u.Written = io.WriteBytes
	}
	return u, nil
}

// descendants returns the descendants of a process.
func descendants(pid int, parents map[int]int) []int {
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		for child, parent := range parents {
			if parent == tree[i] {
				tree = append(tree, child)
			}
		}
	}
	return tree[1:]
}
