package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Child is a running child process.
type Child struct {
	PID      int    // in this PID namespace
	InnerPID int    // in the innermost PID namespace of the process
	Resident uint64 // resident memory in bytes
}

// Children returns the children of the process with the ID parent.
func Children(parent int) ([]Child, error) {
	statuses, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return nil, err
	}
	var children []Child
	for _, path := range statuses {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the process has ended
		}
		if child, of := parseStatus(string(text)); of == parent {
			children = append(children, child)
		}
	}
	return children, nil
}

// parseStatus parses /proc/<pid>/status (proc(5)).
func parseStatus(text string) (child Child, parent int) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if len(fields) == 0 {
			continue
		}
		switch key {
		case "Pid":
			child.PID, _ = strconv.Atoi(fields[0])
		case "PPid":
			parent, _ = strconv.Atoi(fields[0])
		case "NSpid":
			child.InnerPID, _ = strconv.Atoi(fields[len(fields)-1])
		case "VmRSS":
			kilobytes, _ := strconv.ParseUint(fields[0], 10, 64)
			child.Resident = kilobytes << 10
		}
	}
	return child, parent
}
