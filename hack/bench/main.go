// Command bench measures the cost of orders and requests, and baselines of the disk, the
// database, the broker and other proxies on the same machine in the same run.
//
//	make bench                      # all measurements, about 20 minutes
//	go run ./hack/bench --quick     # a short check that everything works
//	go run ./hack/bench --list
//	go run ./hack/bench --only shop/uniform,saga
//	go run ./hack/bench --against HEAD~3 --only http/gateway,shop/uniform
//
// Every round runs all measurements briefly, one after the other, so that other load on
// the machine affects all of them. Earlier revisions of the gateway and the services are
// measured in the same rounds, because figures of different runs are not comparable. The
// command prints tables, and writes all samples as JSON and plots.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/report"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type options struct {
	Rounds  int      `help:"Number of rounds." default:"5"`
	Seconds float64  `help:"Duration of each measurement, in seconds." default:"5"`
	Only    []string `help:"Names, parts of names or patterns of the measurements to run; see --list." sep:","`
	Quick   bool     `help:"One round of one second for each measurement, to check that everything works. Traefik, which takes minutes to build, is measured only if --only names it."`
	List    bool     `help:"List the measurements and exit."`
	Env     []string `help:"Environment variable of the services, as KEY=VALUE." sep:"none"`
	Out     string   `help:"Folder of the results." default:"_out/bench"`

	Against []string `help:"Earlier git revisions whose gateway and services are measured, too; HEAD compares uncommitted changes." placeholder:"REV" sep:","`

	Traced bool `help:"Measure the gateway and the services with a trace of every request, too. The receiver discards them."`

	Growth   bool    `help:"Measure at growing sizes instead: first more past sales, then more products, then more replicas."`
	Products []int64 `help:"Numbers of products, with --growth." default:"1000,100000,1000000" sep:","`
	Sales    []int64 `help:"Numbers of past sales, with --growth; 10000000 need about 40 GiB in the temporary folder and 15 minutes to insert; --sales 10000,1000000 is a smaller alternative." default:"10000,1000000,10000000" sep:","`
	Replicas []int64 `help:"Numbers of replicas of each consumer, with --growth." default:"1,2,4" sep:","`
}

// Validate implements kong's interface.
func (o *options) Validate() error {
	switch {
	case o.Rounds < 1:
		return errors.New("--rounds must be at least 1")
	case o.Seconds < .1 || o.Seconds > 600:
		return errors.New("--seconds must be from 0.1 to 600")
	case o.Growth && (o.Traced || len(o.Against) > 0):
		return errors.New("--growth cannot be combined with --against or --traced: run them separately")
	}
	return o.checkSizes()
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Benchmark the system against hardware and peer baselines."))
	if o.Quick {
		o.Rounds, o.Seconds = 1, min(o.Seconds, 1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "bench: interrupted; servers stopped and data removed")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	if !filepath.IsAbs(o.Out) {
		o.Out = filepath.Join(root, o.Out)
	}
	b := newBench(o, root)
	if err := b.resolveRevisions(ctx); err != nil {
		return err
	}
	selected, err := b.selection()
	if err != nil {
		return err
	}
	if o.List {
		for _, m := range selected {
			fmt.Printf("%-28s %s\n", m.Name, m.About)
		}
		return nil
	}
	if err := b.preflight(selected); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stop()) }()
	if err := b.start(ctx, selected); err != nil {
		return err
	}
	if o.Growth {
		return b.grow(ctx)
	}
	return b.measure(ctx, selected)
}

// selection returns the selected measurements. A quick run includes one that takes minutes to
// prepare only if --only names it.
func (b *bench) selection() ([]measure.Measurement, error) {
	only := b.options.Only
	if b.options.Growth {
		only = []string{"shop/uniform"}
	}
	selected, err := measure.Select(b.measurements(), only)
	if err == nil && b.options.Quick && len(only) == 0 {
		selected = slices.DeleteFunc(slices.Clone(selected), func(m measure.Measurement) bool { return m.Slow })
	}
	return selected, err
}

// preflight checks the requirements of a run.
func (b *bench) preflight(selected []measure.Measurement) error {
	if len(b.earlier) > 0 && !hasTwins(selected, "http") && !hasTwins(selected, "shop") {
		return errors.New("--against and --traced compare the gateway and the scenarios, but none of them is selected: select one with --only, such as http/gateway-token or shop/uniform")
	}
	if b.options.Growth {
		return checkSpace(os.TempDir(), b.options.growthSpace())
	}
	return nil
}

// description returns the description of this run.
func (b *bench) description(ctx context.Context) report.Run {
	return report.Run{Began: time.Now(), Rounds: b.options.Rounds, Seconds: b.options.Seconds, Settings: b.settings(ctx)}
}

// measure runs all rounds and writes the report, also if a round fails.
func (b *bench) measure(ctx context.Context, selected []measure.Measurement) error {
	r := &report.Report{Run: b.description(ctx)}
	var err error
	r.Samples, err = b.rounds(ctx, selected)
	if len(r.Samples) == 0 || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, r.Publish(os.Stdout, b.options.Out))
}

// rounds runs all rounds of the selected measurements.
func (b *bench) rounds(ctx context.Context, selected []measure.Measurement) ([]measure.Sample, error) {
	return measure.Run(ctx, b.show, b.options.Rounds, time.Duration(b.options.Seconds*float64(time.Second)), selected)
}
