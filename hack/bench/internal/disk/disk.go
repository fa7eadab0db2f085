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

// Sync measures synchronous writes in the temporary folder, on the same disk as the
// servers' data.
type Sync struct{}

// Name implements measure.Measurement.
func (Sync) Name() string { return "disk/sync" }

// About implements measure.Measurement.
func (Sync) About() string {
	return "B0: sequential synced writes of 4 KiB: over old bytes (fdatasync, as the redo log) and at the end of a file (fsync, as the binary log)"
}

// block is the number of bytes that are written before each sync.
const block = 4 << 10

// Measure implements measure.Measurement.
func (Sync) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	over, err := rate(ctx, d/2, func(f *os.File, n int64) error {
		const blocks = 1024
		if n == 0 {
			if _, err := f.WriteAt(make([]byte, blocks*block), 0); err != nil {
				return err
			}
			if err := f.Sync(); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(make([]byte, block), n%blocks*block); err != nil {
			return err
		}
		return syscall.Fdatasync(int(f.Fd()))
	})
	if err != nil {
		return nil, err
	}
	end, err := rate(ctx, d/2, func(f *os.File, n int64) error {
		if _, err := f.WriteAt(make([]byte, block), n*block); err != nil {
			return err
		}
		return f.Sync()
	})
	if err != nil {
		return nil, err
	}
	return []measure.Figure{{Name: "over old bytes", Unit: "/s", Value: over}, {Name: "at the end", Unit: "/s", Value: end}}, nil
}

func rate(ctx context.Context, d time.Duration, write func(*os.File, int64) error) (float64, error) {
	f, err := os.CreateTemp("", "ecommerce-bench-sync-")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var n int64
	began := time.Now()
	for time.Since(began) < d && ctx.Err() == nil {
		if err := write(f, n); err != nil {
			return 0, fmt.Errorf("write and sync: %w", err)
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
