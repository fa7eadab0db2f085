package child

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// prefix is the prefix of the bench's temporary folders. The process ID of the run follows.
const prefix = "ecommerce-bench-"

// Folder creates a temporary folder, and removes those of runs that have ended.
func Folder(what string) (string, error) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*")) // The pattern is well-formed.
	for _, dir := range left {
		number, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
		if pid, err := strconv.Atoi(number); err == nil && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir)
		}
	}
	return os.MkdirTemp("", fmt.Sprintf("%s%d-%s-", prefix, os.Getpid(), what))
}
