package shop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/procfs"
)

// Rest measures the services without load: the time from start to readiness, memory, and the
// size of programs and images.
type Rest struct {
	Shop *Shop
	// Images is the folder that `make images` builds into.
	Images string
}

// Name implements measure.Measurement.
func (Rest) Name() string { return "rest/services" }

// About implements measure.Measurement.
func (Rest) About() string {
	return "time until each service is ready, its memory without load, sizes of programs and images"
}

// Measure implements measure.Measurement. It restarts every service.
func (m Rest) Measure(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
	system := m.Shop.System
	var figures []measure.Figure
	add := func(name, unit string, v float64) {
		figures = append(figures, measure.Figure{Name: name, Unit: unit, Value: v})
	}
	for _, name := range Services {
		if err := system.StopService(name); err != nil {
			return nil, err
		}
		began := time.Now()
		if err := system.Restart(ctx, name); err != nil {
			return nil, err
		}
		add("start of "+name, "ms", since(began))
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(d):
	}
	for _, name := range Services {
		used, err := procfs.Of(system.PID(name))
		if err != nil {
			return nil, err
		}
		add("memory of "+name, "MiB", float64(used.Resident)/(1<<20))
	}
	for _, name := range Services {
		for what, file := range map[string]string{"program": filepath.Join(system.Dir, "bin", name), "image": filepath.Join(m.Images, name+".tar")} {
			if info, err := os.Stat(file); err == nil {
				add(fmt.Sprintf("%s of %s", what, name), "MiB", float64(info.Size())/(1<<20))
			}
		}
	}
	return figures, nil
}
