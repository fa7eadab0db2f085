// Package disk implements baseline B0: the rate of synchronous writes to the disk of the
// servers' data.
package disk

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Sync returns the measurement of synchronous writes in the temporary folder, which is on the
// same disk as the servers' data.
func Sync() measure.Measurement {
	return measure.Measurement{Name: "disk/sync", Measure: sync,
		About: "B0: sequential synced writes of 4 KiB: over old bytes (fdatasync, as the redo log) and at the end of a file (fsync, as the binary log)"}
}

// block is the number of bytes that are written before each sync, blocks the number of old
// blocks.
const block, blocks = 4 << 10, 1024

func sync(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	over, err := rate(ctx, d/2, blocks, func(n int64) int64 { return n % blocks * block }, func(f *os.File) error { return syscall.Fdatasync(int(f.Fd())) })
	if err != nil {
		return nil, err
	}
	end, err := rate(ctx, d/2, 0, func(n int64) int64 { return n * block }, (*os.File).Sync)
	return []measure.Figure{{Name: "over old bytes", Unit: "/s", Value: over}, {Name: "at the end", Unit: "/s", Value: end}}, err
}

// rate returns the rate of synced writes to a file that has a number of old blocks.
func rate(ctx context.Context, d time.Duration, old int, position func(n int64) int64, sync func(*os.File) error) (float64, error) {
	f, err := os.CreateTemp("", "ecommerce-bench-sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(make([]byte, old*block)); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	began, n, data := time.Now(), int64(0), make([]byte, block)
	for ; time.Since(began) < d && ctx.Err() == nil; n++ {
		if _, err := f.WriteAt(data, position(n)); err != nil {
			return 0, err
		}
		if err := sync(f); err != nil {
			return 0, fmt.Errorf("sync: %w", err)
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
