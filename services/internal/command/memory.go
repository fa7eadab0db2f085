package command

import (
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// The live heap of a service is small compared to the allocations of its requests: with the default
// GOGC of 100, the garbage collector would run many times per second. gcPercent applies up to the
// soft memory limit of the runtime, which is three quarters of the memory limit of the container, or
// else defaultMemoryLimit, in bytes.
const (
	gcPercent          = 400
	defaultMemoryLimit = 192 << 20
)

// tuneMemory sets the parameters of the garbage collector that GOGC and GOMEMLIMIT do not set.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(defaultMemoryLimit)
	if limit, err := memlimit.FromCgroup(); err == nil {
		debug.SetMemoryLimit(int64(limit / 4 * 3))
	}
}
