package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
)

// resultsCommand reads the JSON output of go test, prints a table by suite and a total, and
// fails if a test or a suite failed, if no test ran, or if a test was skipped in every suite.
type resultsCommand struct {
	Results string   `help:"Folder with the results of the suites." type:"existingdir" required:""`
	Failed  []string `arg:"" optional:"" help:"Suites that failed."`
}

// outcome of a test, in order of precedence.
type outcome int

const (
	skipped outcome = iota
	passed
	failed
)

// Run writes the table and the total to out.
func (o resultsCommand) Run(out io.Writer) error {
	files, err := filepath.Glob(filepath.Join(o.Results, "*.json"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	all := map[string]outcome{}
	w := tabwriter.NewWriter(out, 2, 4, 3, ' ', 0)
	fmt.Fprintln(w, "SUITE\tPASSED\tFAILED\tSKIPPED")
	for _, file := range files {
		suite, err := read(file)
		if err != nil {
			return err
		}
		for test, got := range suite {
			if before, known := all[test]; !known || got > before {
				all[test] = got
			}
		}
		p, f, s := count(suite)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", strings.TrimSuffix(filepath.Base(file), ".json"), p, f, s)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	p, f, s := count(all)
	for test, got := range all {
		if got == skipped {
			fmt.Fprintf(out, "never run: %s\n", test)
		}
	}
	if len(o.Failed) > 0 {
		fmt.Fprintf(out, "failed: %s\n", strings.Join(o.Failed, ", "))
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", p, f, s)
	if p == 0 || f > 0 || s > 0 || len(o.Failed) > 0 {
		return errors.New("the suites did not all pass")
	}
	return nil
}

func count(tests map[string]outcome) (p, f, s int) {
	for _, got := range tests {
		switch got {
		case passed:
			p++
		case failed:
			f++
		case skipped:
			s++
		}
	}
	return p, f, s
}

// read returns the outcome of each test in the output of go test -json. A package that fails
// without a test, because it does not build, counts as a failed test.
func read(file string) (map[string]outcome, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	outcomes := map[string]outcome{"skip": skipped, "pass": passed, "fail": failed}
	tests := map[string]outcome{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event struct{ Action, Package, Test string }
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // output of a program
		}
		got, final := outcomes[event.Action]
		if !final || event.Test == "" && got != failed {
			continue
		}
		name := strings.TrimSuffix(event.Package+"."+event.Test, ".")
		if before, known := tests[name]; !known || got > before {
			tests[name] = got
		}
	}
	return tests, lines.Err()
}
