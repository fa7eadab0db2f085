package edge

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// connections is the number of connections of wrk, each with one request in flight.
const connections = 32

// script creates all requests before it sends the first, with the tokens of an optional
// file, and prints the result.
const script = `local requests, n = {}, 0
init = function(args)
   if args[1] then
      for token in io.lines(args[1]) do
         requests[#requests + 1] = wrk.format("GET", wrk.path, {["Authorization"] = "Bearer " .. token})
      end
   else
      requests[1] = wrk.format("GET", wrk.path)
   end
end
request = function()
   n = n % #requests + 1
   return requests[n]
end
done = function(summary, latency)
   local e = summary.errors
   io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
      e.connect + e.read + e.write + e.status + e.timeout, latency:percentile(50), latency:percentile(99)))
end
`

func (e *Edge) writeScript() error {
	if err := os.WriteFile(filepath.Join(e.dir, "script.lua"), []byte(script), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(e.dir, "tokens"), []byte(strings.Join(e.tokens, "\n")+"\n"), 0o600)
}

// result is the result of wrk. Times are in microseconds.
type result struct {
	requests, duration, errors float64
	p50, p99                   float64
}

func (r result) rate() float64 { return r.requests / (r.duration / 1e6) }

// wrk loads a target, for a whole number of seconds.
func (e *Edge) wrk(ctx context.Context, t Target, d time.Duration) (result, error) {
	seconds := int(math.Ceil(d.Seconds()))
	args := []string{"-t", strconv.Itoa(min(2, runtime.NumCPU())), "-c", strconv.Itoa(connections), "-d", strconv.Itoa(seconds) + "s",
		"--timeout", "5s", "-s", filepath.Join(e.dir, "script.lua"), "http://" + e.addresses[t.peer] + t.path}
	if t.tokens {
		args = append(args, "--", filepath.Join(e.dir, "tokens"))
	}
	ctx, cancel := context.WithTimeout(ctx, d+30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "wrk", args...)
	// The kernel sends Pdeathsig when the thread that started the child ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return result{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	r, err := parse(string(out))
	if err == nil && r.errors > 0 {
		err = fmt.Errorf("%.0f of %.0f requests failed", r.errors, r.requests)
	}
	return r, err
}

// parse parses the line that the script prints.
func parse(out string) (result, error) {
	for line := range strings.Lines(out) {
		numbers, ok := strings.CutPrefix(strings.TrimSpace(line), "RESULT ")
		if !ok {
			continue
		}
		var r result
		_, err := fmt.Sscan(numbers, &r.requests, &r.duration, &r.errors, &r.p50, &r.p99)
		if err != nil || r.duration <= 0 {
			return result{}, fmt.Errorf("wrk printed %q: %w", line, err)
		}
		return r, nil
	}
	return result{}, fmt.Errorf("wrk printed no result:\n%s", out)
}
