// Package procfs reads CPU time, memory and written bytes of processes from /proc
// (proc(5)).
package procfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of times in /proc/<pid>/stat. Linux reports 100 a second on every
// architecture that Go runs on (USER_HZ).
const tick = 10 * time.Millisecond

// Usage is the resource usage of processes since their start.
type Usage struct {
	CPU time.Duration
	// Written is the number of bytes that were written to disk.
	Written int64
	// Resident and Peak are the current and the maximum resident memory in bytes, summed
	// over all processes.
	Resident, Peak int64
}

// Of returns the usage of a process and its descendants.
func Of(pid int) (Usage, error) {
	tree, err := processTree(pid)
	if err != nil {
		return Usage{}, err
	}
	var sum Usage
	for _, p := range tree {
		u, err := OfProcess(p)
		if err != nil {
			if p == pid {
				return Usage{}, err
			}
			continue // It has ended.
		}
		sum = sum.plus(u)
	}
	return sum, nil
}

func (u Usage) plus(v Usage) Usage {
	return Usage{CPU: u.CPU + v.CPU, Written: u.Written + v.Written, Resident: u.Resident + v.Resident, Peak: u.Peak + v.Peak}
}

// OfProcess returns the usage of a process without its descendants.
func OfProcess(pid int) (Usage, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return Usage{}, err
	}
	s, err := parseStat(stat)
	if err != nil {
		return Usage{}, fmt.Errorf("process %d: %w", pid, err)
	}
	u := Usage{CPU: s.cpu}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return Usage{}, err
	}
	u.Resident, u.Peak = parseField(status, "VmRSS")<<10, parseField(status, "VmHWM")<<10
	if io, err := os.ReadFile(filepath.Join(dir, "io")); err == nil { // It requires the permission to trace the process.
		u.Written = parseField(io, "write_bytes")
	}
	return u, nil
}

// stat contains fields of /proc/<pid>/stat.
type stat struct {
	parent int
	// cpu is the CPU time of the process and of children that it has waited for.
	cpu time.Duration
}

func parseStat(text []byte) (stat, error) {
	// The command's name, in parentheses, can contain spaces and parentheses.
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, errors.New("stat has no command name")
	}
	fields := strings.Fields(string(text[end+1:]))
	const state = 3 // proc(5) counts from 1; fields begins with the third
	const parent, utime, cstime = 4 - state, 14 - state, 17 - state
	if len(fields) <= cstime {
		return stat{}, fmt.Errorf("stat has only %d fields", len(fields)+state-1)
	}
	var s stat
	var err error
	if s.parent, err = strconv.Atoi(fields[parent]); err != nil {
		return stat{}, fmt.Errorf("stat: %w", err)
	}
	for _, f := range fields[utime : cstime+1] {
		ticks, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return stat{}, fmt.Errorf("stat: %w", err)
		}
		s.cpu += time.Duration(ticks) * tick
	}
	return s, nil
}

// parseField returns the number in a line "name: number ...", or 0 if there is no such
// line.
func parseField(text []byte, name string) int64 {
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || key != name {
			continue
		}
		if fields := strings.Fields(value); len(fields) > 0 {
			n, _ := strconv.ParseInt(fields[0], 10, 64) // The kernel writes a number.
			return n
		}
	}
	return 0
}

// processTree returns a process and its descendants.
func processTree(pid int) ([]int, error) {
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err != nil {
		return nil, fmt.Errorf("process %d has ended: %w", pid, err)
	}
	parents, err := parents()
	if err != nil {
		return nil, err
	}
	return descendants(pid, parents), nil
}

func parents() (map[int]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	parents := make(map[int]int, len(files))
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue // It has ended.
		}
		s, err := parseStat(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(f))) // The pattern takes digits only.
		parents[pid] = s.parent
	}
	return parents, nil
}

func descendants(pid int, parents map[int]int) []int {
	tree := []int{pid}
	for i := 0; i < len(tree); i++ {
		for child, parent := range parents {
			if parent == tree[i] && child != tree[i] {
				tree = append(tree, child)
			}
		}
	}
	return tree
}
