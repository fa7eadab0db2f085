// Package heap tells what Go programs have allocated, by what they say of themselves at
// /metrics.
package heap

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// objects counts what a Go program has allocated on its heap. It has no labels.
const objects = "go_memstats_mallocs_total"

// Allocated is how many objects the program whose metrics are at url + "/metrics" has
// allocated so far. To be asked costs it some thousand of them.
func Allocated(ctx context.Context, url string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, fmt.Errorf("ask for the allocations: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s/metrics: %s", url, res.Status)
	}
	for lines := bufio.NewScanner(res.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), objects+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s/metrics has no %s", url, objects)
}
