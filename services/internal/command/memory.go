package command

import (
	"os"
	"runtime/debug"
)

// What a service keeps is small beside what each request allocates, so with the usual
// 100 % the collector would run many times a second. Below the soft limit it may wait
// until four times as much was allocated again; near it, it works as hard as it must.
const (
	collectAt = 400
	softLimit = 192 << 20
)

// tuneMemory sets what GOGC and GOMEMLIMIT do not.
func tuneMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softLimit)
	}
}
