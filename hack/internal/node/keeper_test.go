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

// reap is the one reaper of this test program: it collects every child.
var reap = sync.OnceValue(newReaper)

func TestPausesGrowUpToALimit(t *testing.T) {
	for n := range 50 {
		if backoff(n+1) < backoff(n) || backoff(n) > 15*time.Second {
			t.Errorf("pauses %v, %v after failures %d, %d", backoff(n), backoff(n+1), n, n+1)
		}
	}
}

func TestAComponentThatDiesIsStartedAgain(t *testing.T) {
	dir := Dir(t.TempDir())
	starts := dir.Path("starts")
	c := shell("dying", "echo x >>"+starts+"; exit 3")
	k := keeperOf(t, dir, c)
	stop := keep(t, k, c)
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

func TestAComponentWaitsForThoseBeforeIt(t *testing.T) {
	dir := Dir(t.TempDir())
	first := shell("first", "sleep 60")
	second := shell("second", "touch "+dir.Path("second-began")+"; sleep 60")
	second.After = []string{"first"}
	k := keeperOf(t, dir, first, second)
	var mu sync.Mutex
	firstReady := false
	k.probe = func(_ context.Context, address string) error {
		mu.Lock()
		defer mu.Unlock()
		if address == "first" && !firstReady {
			return errors.New("not yet")
		}
		return nil
	}
	defer keep(t, k, first)()
	defer keep(t, k, second)()
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

func TestStoppingEndsTheProcess(t *testing.T) {
	dir := Dir(t.TempDir())
	c := shell("lasting", "exec sleep 60")
	k := keeperOf(t, dir, c)
	stop := keep(t, k, c)
	await(t, "it runs", func() bool { return status(t, dir, "lasting").PID > 0 })
	pid := status(t, dir, "lasting").PID
	stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if got := status(t, dir, "lasting"); got.PID != 0 || got.Ready || got.LastExit != "killed by SIGTERM" {
		t.Errorf("status %+v, want an ended one", got)
	}
}

func TestAProgramThatCannotStartIsTold(t *testing.T) {
	dir := Dir(t.TempDir())
	c := Component{Name: "missing", Args: []string{"/no/such/program"}}
	defer keep(t, keeperOf(t, dir, c), c)()
	await(t, "the status says why", func() bool { return strings.Contains(status(t, dir, "missing").LastExit, "/no/such/program") })
}

func TestALongLogGoesOnFromEmpty(t *testing.T) {
	file := filepath.Join(t.TempDir(), "etcd.log")
	if err := os.WriteFile(file, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trimLog(file, 11); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "0123456789" {
		t.Errorf("below its limit the log became %q", got)
	}
	if err := trimLog(file, 10); err != nil {
		t.Fatal(err)
	}
	past, _ := os.ReadFile(strings.TrimSuffix(file, ".log") + ".old")
	if got, _ := os.ReadFile(file); len(got) != 0 || string(past) != "0123456789" {
		t.Errorf("the log holds %q and its past %q", got, past)
	}
}

func TestARecordOfAnotherBootIsNotRunning(t *testing.T) {
	dir := Dir(t.TempDir())
	if _, running := Running(dir); running {
		t.Error("nothing runs")
	}
	record := Record{Fingerprint: "f"}
	record.PID, record.Start, record.Boot = os.Getpid(), 1, "another boot"
	if err := state.WriteJSON(dir.record(), record); err != nil {
		t.Fatal(err)
	}
	if _, running := Running(dir); running {
		t.Error("a record of another boot runs")
	}
	if err := Stop(dir); err != nil {
		t.Errorf("stop what does not run: %v", err)
	}
}

func shell(name, script string) Component {
	return Component{Name: name, Args: []string{"/bin/sh", "-c", script}, Probe: name}
}

func keeperOf(t *testing.T, dir Dir, components ...Component) *keeper {
	t.Helper()
	if err := os.MkdirAll(dir.Path("log"), 0o700); err != nil {
		t.Fatal(err)
	}
	k := newKeeper(dir, reap(), components)
	k.probe = func(context.Context, string) error { return nil }
	return k
}

// keep keeps the component until the returned function is called.
func keep(t *testing.T, k *keeper, c Component) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { k.keep(ctx, c) })
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
			t.Fatal(fmt.Sprint("in vain awaited that ", what))
		}
	}
}
