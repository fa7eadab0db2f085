package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/testenv"
)

// output is what a program has printed.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(data []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(data)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// run is a running dev.
type run struct {
	cmd  *exec.Cmd
	out  output
	done chan struct{}
}

func start(t *testing.T, program string, args ...string) *run {
	t.Helper()
	r := &run{cmd: exec.Command(program, args...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = r.cmd.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Signal(syscall.SIGTERM)
		<-r.done
	})
	return r
}

// await waits until the program has printed a text.
func (r *run) await(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(r.out.String(), text) {
		select {
		case <-tick.C:
		case <-r.done:
			if !strings.Contains(r.out.String(), text) {
				t.Fatalf("it ended without %q:\n%s", text, r.out.String())
			}
		case <-ctx.Done():
			t.Fatalf("no %q:\n%s", text, r.out.String())
		}
	}
}

var passwordPattern = regexp.MustCompile(`manager@example.com, password (\S+)`)

func TestKilledRunContinuesWithItsDataAtTheNextStart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	t.Parallel()
	program, state := filepath.Join(t.TempDir(), "dev"), filepath.Join(t.TempDir(), "dev")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"--state", state, "run", "--port", strconv.Itoa(port)}
	api := &client.Client{URL: fmt.Sprintf("http://127.0.0.1:%d", port)}

	interrupted := start(t, program, args...)
	interrupted.await(t, "✓ Build the services")
	_ = interrupted.cmd.Process.Kill() // in the middle of the first start of the servers
	<-interrupted.done

	first := start(t, program, args...)
	first.await(t, "Press Ctrl-C to stop.")
	if !strings.Contains(first.out.String(), api.URL+"/docs") {
		t.Errorf("the page of the documentation is not named:\n%s", first.out.String())
	}
	password := passwordPattern.FindStringSubmatch(first.out.String())
	if password == nil {
		t.Fatalf("no password of the manager:\n%s", first.out.String())
	}
	manager, err := api.Login(t.Context(), "manager@example.com", password[1])
	if err != nil {
		t.Fatal(err)
	}
	product, err := api.AddProduct(t.Context(), manager, client.Product{Name: "Desk", Price: "19.99", Quantity: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{args, {"--state", state, "reset"}} {
		second := start(t, program, command...)
		<-second.done
		want := fmt.Sprintf("already runs as process %d: stop it", first.cmd.Process.Pid)
		if second.cmd.ProcessState.Success() || !strings.Contains(second.out.String(), want) {
			t.Errorf("%q while it runs: %s\ngot %s\nwant ... %s", command, second.cmd.ProcessState, second.out.String(), want)
		}
	}
	_ = first.cmd.Process.Kill()
	<-first.done

	again := start(t, program, args...)
	again.await(t, "Press Ctrl-C to stop.")
	// The token of before is valid, and so is the account.
	if stock, err := api.Stock(t.Context(), manager, product.ID); err != nil || stock.Available != 3 {
		t.Errorf("the stock after a kill is %+v, %v; want 3 available", stock, err)
	}
	if _, err := api.Login(t.Context(), "manager@example.com", password[1]); err != nil {
		t.Error(err)
	}
	_ = again.cmd.Process.Signal(syscall.SIGTERM)
	<-again.done
	if !again.cmd.ProcessState.Success() {
		t.Errorf("after SIGTERM: %s\n%s", again.cmd.ProcessState, again.out.String())
	}
	reset := start(t, program, "--state", state, "reset")
	<-reset.done
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the data is there after a reset: %v\n%s", err, reset.out.String())
	}
}
