package command

import (
	"os"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// What a service keeps is small beside what each request allocates, so with the usual
// 100 % the collector would run many times a second. Below the soft limit it may wait
// until four times as much was allocated again; near it, it works as hard as it must. The
// soft limit is three quarters of the container's limit, or softLimit without one.
const (
	collectAt = 400
	softLimit = 192 << 20
)

// tuneMemory sets what GOGC and GOMEMLIMIT do not.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetMemoryLimit(softLimit)
	if limit, err := memlimit.FromCgroup(); err == nil {
		debug.SetMemoryLimit(int64(limit / 4 * 3))
	}
}
