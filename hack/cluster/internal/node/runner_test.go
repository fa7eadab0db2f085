package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/state"
)

// sharedReaper returns the reaper of this test process. There can be only one,
// because it waits for every child.
var sharedReaper = sync.OnceValue(newReaper)

func TestBackoffGrowsToLimit(t *testing.T) {
	for n := range 50 {
		if backoff(n+1) < backoff(n) || backoff(n) > 15*time.Second {
			t.Errorf("delays %v, %v after failures %d, %d", backoff(n), backoff(n+1), n, n+1)
		}
	}
}

func TestEndedComponentIsRestarted(t *testing.T) {
	dir := Dir(t.TempDir())
	starts := dir.Path("starts")
	c := shell("dying", "echo x >>"+starts+"; exit 3")
	r := testRunner(t, dir, c)
	stop := startRunner(t, r, c)
	defer stop()
	await(t, "it was started three times", func() bool {
		data, _ := os.ReadFile(starts)
		return strings.Count(string(data), "x") >= 3
	})
	statuses, err := Statuses(dir)
	if err != nil {
		t.Fatal(err)
	}
	if statuses[0].LastExit != "exit status 3" || statuses[0].Restarts < 2 {
		t.Errorf("status %+v, want two restarts or more after exit status 3", statuses[0])
	}
}

func TestComponentWaitsForDependencies(t *testing.T) {
	dir := Dir(t.TempDir())
	first := shell("first", "sleep 60")
	second := shell("second", "touch "+dir.Path("second-began")+"; sleep 60")
	second.After = []string{"first"}
	r := testRunner(t, dir, first, second)
	var mu sync.Mutex
	firstReady := false
	r.probe = func(_ context.Context, address string) error {
		mu.Lock()
		defer mu.Unlock()
		if address == "first" && !firstReady {
			return errors.New("not yet")
		}
		return nil
	}
	defer startRunner(t, r, first)()
	defer startRunner(t, r, second)()
	await(t, "the first runs", func() bool { return status(t, dir, "first").PID > 0 })
	if _, err := os.Stat(dir.Path("second-began")); err == nil {
		t.Error("the second began before the first was ready")
	}
	mu.Lock()
	firstReady = true
	mu.Unlock()
	await(t, "the second is ready and has begun", func() bool {
		_, err := os.Stat(dir.Path("second-began"))
		return err == nil && status(t, dir, "second").Ready
	})
}

func TestCancelStopsProcess(t *testing.T) {
	dir := Dir(t.TempDir())
	c := shell("lasting", "exec sleep 60")
	r := testRunner(t, dir, c)
	stop := startRunner(t, r, c)
	await(t, "it runs", func() bool { return status(t, dir, "lasting").PID > 0 })
	pid := status(t, dir, "lasting").PID
	stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if got := status(t, dir, "lasting"); got.PID != 0 || got.Ready || got.LastExit != "killed by SIGTERM" {
		t.Errorf("status %+v, want a stopped component", got)
	}
}

func TestStatusContainsStartError(t *testing.T) {
	dir := Dir(t.TempDir())
	c := Component{Name: "missing", Args: []string{"/no/such/program"}}
	defer startRunner(t, testRunner(t, dir, c), c)()
	await(t, "the status contains the error", func() bool { return strings.Contains(status(t, dir, "missing").LastExit, "/no/such/program") })
}

func TestTrimLogMovesFullLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.log")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trimLog(file, 11); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "0123456789" {
		t.Errorf("a log below the limit became %q", got)
	}
	if err := trimLog(file, 10); err != nil {
		t.Fatal(err)
	}
	old, _ := os.ReadFile(strings.TrimSuffix(file, ".log") + ".old")
	if got, _ := os.ReadFile(file); len(got) != 0 || string(old) != "0123456789" {
		t.Errorf("the log contains %q and the old log %q", got, old)
	}
}

func TestRecordOfEarlierBootIsNotRunning(t *testing.T) {
	dir := Dir(t.TempDir())
	if _, running := Running(dir); running {
		t.Error("Running reports a supervisor in an empty folder")
	}
	record := Record{Fingerprint: "f"}
	record.PID, record.Start, record.Boot = os.Getpid(), 1, "another boot"
	if err := state.WriteJSON(dir.record(), record); err != nil {
		t.Fatal(err)
	}
	if _, running := Running(dir); running {
		t.Error("Running accepts a record of another boot")
	}
	if err := Stop(dir); err != nil {
		t.Errorf("Stop without a supervisor: %v", err)
	}
}

func shell(name, script string) Component {
	return Component{Name: name, Args: []string{"/bin/sh", "-c", script}, Probe: name}
}

func testRunner(t *testing.T, dir Dir, components ...Component) *runner {
	t.Helper()
	if err := os.MkdirAll(dir.Path("log"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := newRunner(dir, sharedReaper(), components)
	r.probe = func(context.Context, string) error { return nil }
	return r
}

// startRunner runs the component until the returned function is called.
func startRunner(t *testing.T, r *runner, c Component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { r.run(ctx, c) })
	return func() { cancel(); done.Wait() }
}

func status(t *testing.T, dir Dir, name string) Status {
	t.Helper()
	statuses, err := Statuses(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, status := range statuses {
		if status.Name == name {
			return status
		}
	}
	return Status{}
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			t.Fatal(fmt.Sprint("timeout while waiting until ", what))
		}
	}
}
