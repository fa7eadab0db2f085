// Package profile takes CPU profiles of services that run with PROFILING=true during
// measurements.
package profile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// During runs do, which takes about d, and meanwhile takes a profile of each service, if dir
// is not "". urls contains the URL of the metrics by service. A profile is written to dir with
// the names of the measurement and the service.
func During(ctx context.Context, dir, measurement string, urls map[string]string, d time.Duration, do func() error) error {
	if dir == "" {
		return do()
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, service := range slices.Sorted(maps.Keys(urls)) {
		file := filepath.Join(dir, strings.ReplaceAll(measurement, "/", "-")+"-"+service+".pprof")
		url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%.0f", urls[service], math.Ceil(d.Seconds()))
		group.Go(func() error {
			if err := save(ctx, url, file); err != nil {
				return fmt.Errorf("profile %s: %w", service, err)
			}
			return nil
		})
	}
	err := do()
	return errors.Join(err, group.Wait())
}

func save(ctx context.Context, url, file string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	profile, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", res.Status, profile)
	}
	return errors.Join(err, os.WriteFile(file, profile, 0o644))
}
