package shop

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/usage"
)

// Rest measures the services without load: the time from start to readiness, memory, and the
// size of programs and of the images that `make images` builds into a folder. It restarts
// every service.
func Rest(s *Shop, images string) measure.Measurement {
	return measure.Measurement{Name: "rest/services", About: "time until each service is ready, its memory without load, sizes of programs and images",
		Measure: func(ctx context.Context, d time.Duration) ([]measure.Figure, error) {
			var figures []measure.Figure
			add := func(what, service, unit string, v float64) {
				figures = append(figures, measure.Figure{Name: what + " of " + service, Unit: unit, Value: v})
			}
			for _, name := range Services {
				if err := s.System.StopService(name); err != nil {
					return nil, err
				}
				began := time.Now()
				if err := s.System.Restart(ctx, name); err != nil {
					return nil, err
				}
				add("start", name, "ms", since(began))
			}
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-time.After(d):
			}
			for _, name := range Services {
				used, err := usage.OfTree(s.System.PID(name))
				if err != nil {
					return nil, err
				}
				add("memory", name, "MiB", float64(used.Resident)/(1<<20))
				for _, file := range [][2]string{{"program", filepath.Join(s.System.Dir, "bin", name)}, {"image", filepath.Join(images, name+".tar")}} {
					if info, err := os.Stat(file[1]); err == nil {
						add(file[0], name, "MiB", float64(info.Size())/(1<<20))
					}
				}
			}
			return figures, nil
		}}
}
