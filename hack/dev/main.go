// Command dev runs the store as processes on this machine, without Kubernetes, until it is
// interrupted. A service whose sources change is built again and restarted. Data, accounts and
// keys stay in _out/dev for the next start.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/port"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type commands struct {
	State string `help:"Folder of the data; by default _out/dev." type:"path"`

	Run   runCommand   `cmd:"" default:"withargs" help:"Run the store until Ctrl-C."`
	Reset resetCommand `cmd:"" help:"Delete the data and accounts of earlier runs."`
}

// folderOf opens the state folder of the checkout at root.
func (c commands) folderOf(root string) (*folder, error) {
	if c.State != "" {
		return open(c.State)
	}
	return open(filepath.Join(root, "_out", "dev"))
}

type runCommand struct {
	Port int `help:"Port of the gateway on the loopback interface." default:"5001" env:"PORT"`
}

type resetCommand struct{}

func main() {
	var c commands
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command := kong.Parse(&c, kong.Name("dev"), kong.Description("Run the store as processes, without Kubernetes."),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	err := command.Run(&c)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

// Run implements the command reset.
func (resetCommand) Run(all *commands, out io.Writer) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	folder, err := all.folderOf(root)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Clear(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "The data in %s is deleted. `make dev` starts an empty store.\n", folder.dir)
	return err
}

// buildFlags compile the services without optimizations and the information for a debugger, which the linker
// would drop: a build after a change takes a fifth less time.
var buildFlags = []string{"-gcflags=ecommerce-stack.dev/services/...=-N -l -dwarf=false"}

// Run implements the command run.
func (c runCommand) Run(ctx context.Context, all *commands, out io.Writer) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	folder, err := all.folderOf(root)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := errors.Join(folder.Check(), folder.StopLeftovers()); err != nil {
		return err
	}
	if err := port.Check(c.Port); err != nil {
		return err
	}
	// The watch begins before the build, so that no change is missed.
	w, err := newWatcher(root)
	if err != nil {
		return err
	}
	defer w.Close()
	s, err := local.Start(ctx, local.Options{Root: root, StateDir: folder.dir, Direct: true, Progress: progress.New(os.Stderr), BuildFlags: buildFlags, Combine: true,
		GatewayAddr: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port))})
	if ctx.Err() != nil && s == nil {
		fmt.Fprintln(out, "Stopped before the store was ready. The next start continues with the same data.")
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprint(out, welcome(s))
	err = w.Run(ctx, func(services []string) { rebuild(ctx, out, s, w, services) })
	fmt.Fprintln(out, "\nStopping. The data stays for the next start; `make dev-reset` deletes it.")
	return errors.Join(err, s.Stop())
}

func welcome(s *local.System) string {
	return fmt.Sprintf(`
The store is available at %[1]s.
  documentation  %[1]s/docs
  manager        %[2]s, password %[3]s
  logs           %[4]s/*.log
A service whose sources change is built again and restarted. Press Ctrl-C to stop.
`, s.URL, s.ManagerEmail, s.ManagerPassword, s.Dir)
}

// rebuild builds services again and prints the outcome.
func rebuild(ctx context.Context, out io.Writer, s *local.System, w *watcher, services []string) {
	began := time.Now()
	restarted, err := s.Rebuild(ctx, w.Files(services), services...)
	at, took := began.Format(time.TimeOnly), progress.Short(time.Since(began))
	switch {
	case ctx.Err() != nil:
	case err != nil && len(restarted) == 0:
		fmt.Fprintf(out, "%s  %s: cannot be built, the last build keeps running: %v\n", at, strings.Join(services, ", "), err)
	case err != nil:
		fmt.Fprintf(out, "%s  %s: does not start, and is built again when a file is saved: %v\n", at, strings.Join(restarted, ", "), err)
	case len(restarted) == 0:
		fmt.Fprintf(out, "%s  %s: the program is the same as before\n", at, strings.Join(services, ", "))
	default:
		fmt.Fprintf(out, "%s  %s: built and ready after %s\n", at, strings.Join(restarted, ", "), took)
	}
	// Imports may have changed, also with an error of the compiler, which is printed already.
	if refreshErr := w.Refresh(services); err == nil && refreshErr != nil {
		fmt.Fprintf(out, "%s  changes of new packages are not found: %v\n", at, refreshErr)
	}
}
