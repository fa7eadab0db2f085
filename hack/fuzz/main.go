// Command fuzz runs every fuzz target of the modules that read what others send, each
// for a bounded time, and prints how much each tried. It fails at the first input that
// a target refuses; go test writes that into the package's testdata, from where every
// later test run tries it again.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type options struct {
	Time    time.Duration `help:"How long each target runs." default:"10s"`
	Only    string        `help:"A regular expression of the targets to run, such as Operations." default:"."`
	Modules []string      `arg:"" help:"Folders of the modules."`
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Run every fuzz target for a while."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	var total int64
	count := 0
	for _, module := range o.Modules {
		targets, err := list(ctx, module)
		if err != nil {
			return err
		}
		for _, t := range targets {
			if !only.MatchString(t.name) {
				continue
			}
			tried, err := t.fuzz(ctx, o.Time)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "%9d inputs  %s.%s\n", tried, t.pkg, t.name)
			total += tried
			count++
		}
	}
	if count == 0 {
		return fmt.Errorf("no target matches %q", o.Only)
	}
	fmt.Fprintf(out, "%9d inputs in %d targets, none refused\n", total, count)
	return nil
}

// target is a fuzz function.
type target struct{ module, pkg, name string }

// list finds the targets of a module. Its lines are a package's functions, and then
// the package.
func list(ctx context.Context, module string) ([]target, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-list", "^Fuzz", "./...")
	cmd.Dir, cmd.Stderr = module, os.Stderr
	lines, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the fuzz targets of %s: %w\n%s", module, err, lines)
	}
	var targets []target
	var names []string
	for line := range strings.Lines(string(lines)) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 1 && strings.HasPrefix(fields[0], "Fuzz"):
			names = append(names, fields[0])
		case len(fields) > 1 && fields[0] == "ok":
			for _, name := range names {
				targets = append(targets, target{module, fields[1], name})
			}
			names = nil
		}
	}
	return targets, nil
}

// slack is what compiling with instrumentation may take beside the fuzzing.
const slack = 10 * time.Minute

func (t target) fuzz(ctx context.Context, d time.Duration) (tried int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, d+slack)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+d.String(), "-parallel=2", t.pkg)
	cmd.Dir = t.module
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s.%s: %w\n%s", t.pkg, t.name, err, log.Bytes())
	}
	if tried = executions(&log); tried == 0 {
		return 0, fmt.Errorf("%s.%s tried nothing within %s", t.pkg, t.name, d)
	}
	return tried, nil
}

var execs = regexp.MustCompile(`execs: (\d+)`)

// executions is the last count that go test printed.
func executions(log io.Reader) int64 {
	var last int64
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		if m := execs.FindStringSubmatch(lines.Text()); m != nil {
			last, _ = strconv.ParseInt(m[1], 10, 64) // the expression takes digits alone
		}
	}
	return last
}
