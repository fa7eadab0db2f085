package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// fuzzCommand runs every fuzz target of the modules, each with a number of inputs, and
// prints how many it ran. It fails at the first input that a target rejects; go test writes
// that into the package's testdata, from where every later test run tries it again.
//
// The budget is a count, not a duration: with a duration, Go's fuzzing coordinator can end
// with "context deadline exceeded" and no failing input (golang/go#75804).
type fuzzCommand struct {
	Scale   int           `help:"Multiple of the default number of inputs." default:"1"`
	Limit   time.Duration `help:"Time limit of a target." default:"20m"`
	Only    string        `help:"A regular expression of the targets to run, such as Operations." default:"."`
	Modules []string      `arg:"" help:"Folders of the modules."`
}

// Run writes the number of inputs of each target to out.
func (o fuzzCommand) Run(ctx context.Context, out io.Writer) error {
	only, err := regexp.Compile(o.Only)
	if err != nil {
		return fmt.Errorf("--only: %w", err)
	}
	if o.Scale < 1 || o.Scale > maxScale {
		return fmt.Errorf("--scale is %d, which is not in the range 1 to %d", o.Scale, maxScale)
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
			tried, err := t.fuzz(ctx, t.inputs()*o.Scale, o.Limit)
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
	fmt.Fprintf(out, "%9d inputs in %d targets, none rejected\n", total, count)
	return nil
}

// target is a fuzz function.
type target struct{ module, pkg, name string }

// list returns the targets of a module. go test prints the functions of a package and then
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

// maxScale keeps the number of inputs within an int32.
const maxScale = 1000

// defaultInputs is the number of inputs of a target that calls a function.
const defaultInputs = 50_000

// inputsOfSlowTargets are the numbers of inputs of targets that need longer for each, because
// they send a request.
var inputsOfSlowTargets = map[string]int{"FuzzOperations": 2_000, "FuzzRequest": 5_000}

func (t target) inputs() int {
	if n, ok := inputsOfSlowTargets[t.name]; ok {
		return n
	}
	return defaultInputs
}

func (t target) fuzz(ctx context.Context, inputs int, limit time.Duration) (tried int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-run=^$", "-fuzz=^"+t.name+"$", "-fuzztime="+strconv.Itoa(inputs)+"x", "-parallel=2", t.pkg)
	cmd.Dir = t.module
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s.%s: %w\n%s", t.pkg, t.name, err, log.Bytes())
	}
	if tried = executions(&log); tried == 0 {
		return 0, fmt.Errorf("%s.%s tried no input", t.pkg, t.name)
	}
	return tried, nil
}

var execs = regexp.MustCompile(`execs: (\d+)`)

// executions returns the last count that go test printed.
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
