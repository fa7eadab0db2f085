// Package procfs reads what processes cost from /proc (proc(5)): time on the
// processors, memory, and bytes written to disk.
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

// Usage is what a process and its descendants have used so far.
type Usage struct {
	CPU time.Duration
	// Written is bytes that were sent to the disk.
	Written int64
	// Resident and Peak are bytes of memory now and at most; of several processes the
	// sum.
	Resident, Peak int64
}

// Of returns the usage of a process and of what runs below it.
func Of(pid int) (Usage, error) {
	tree, err := family(pid)
	if err != nil {
		return Usage{}, err
	}
	var sum Usage
	for _, p := range tree {
		u, err := Alone(p)
		if err != nil {
			if p == pid {
				return Usage{}, err
			}
			continue // It ended meanwhile.
		}
		sum = sum.plus(u)
	}
	return sum, nil
}

func (u Usage) plus(v Usage) Usage {
	return Usage{CPU: u.CPU + v.CPU, Written: u.Written + v.Written, Resident: u.Resident + v.Resident, Peak: u.Peak + v.Peak}
}

// Alone returns the usage of a process without what runs below it.
func Alone(pid int) (Usage, error) {
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
	if io, err := os.ReadFile(filepath.Join(dir, "io")); err == nil { // It takes the right to trace the process.
		u.Written = parseField(io, "write_bytes")
	}
	return u, nil
}

// stat is what /proc/<pid>/stat says, as far as it is of use here.
type stat struct {
	parent int
	// cpu of the process and of the children that it has waited for.
	cpu time.Duration
}

func parseStat(text []byte) (stat, error) {
	// The command's name, in parentheses, may itself hold spaces and parentheses.
	end := bytes.LastIndexByte(text, ')')
	if end < 0 {
		return stat{}, errors.New("stat has no command name")
	}
	fields := strings.Fields(string(text[end+1:]))
	const state = 3 // fields are counted from 1, and this is the first one left
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

// parseField reads "name: number ..." of a file of such lines; 0 when it is not
// there.
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

// family is a process and all below it.
func family(pid int) ([]int, error) {
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); err != nil {
		return nil, fmt.Errorf("process %d is gone: %w", pid, err)
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
			continue // It ended meanwhile.
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
