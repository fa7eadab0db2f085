// Command bench measures what an order and a request cost, beside what the disk, the
// database, the broker and other proxies do on the same machine in the same run.
//
//	make bench                      # everything, about 20 minutes
//	go run ./hack/bench --quick     # everything once, shortly: does it work?
//	go run ./hack/bench --list
//	go run ./hack/bench --only shop/uniform,saga
//	go run ./hack/bench --against HEAD~3 --only http/gateway,shop/uniform
//
// Baselines and scenarios are short and follow each other in every round, so that what
// the machine does meanwhile hits all alike. Earlier revisions of the gateway and the
// services are measured in the same rounds, too, because figures of two runs do not
// compare. The tables are printed; the same with all samples is written as JSON and plots.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/bench/internal/edge"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/preflight"
	"ecommerce-stack.dev/hack/bench/internal/report"
	"ecommerce-stack.dev/hack/bench/internal/shop"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type options struct {
	Rounds  int      `help:"How often everything is measured." default:"5"`
	Seconds float64  `help:"How long each measurement takes." default:"5"`
	Only    []string `help:"Names, parts of names or patterns of what to measure; see --list." sep:","`
	Quick   bool     `help:"One round of one second each: a check that everything works. Traefik, which takes minutes to build, is measured only if --only names it."`
	List    bool     `help:"List what is measured, and end."`
	Addr    string   `help:"Where the system's gateway listens; a free port of loopback if left out."`
	Env     []string `help:"KEY=VALUE for the environment of the services." sep:"none"`
	Out     string   `help:"Folder of the results." default:"_out/bench"`

	Against []string `help:"Earlier revisions, as git names them, whose gateway and services are measured beside the present ones; HEAD shows what is not committed yet." placeholder:"REV" sep:","`

	Profile bool `help:"Take CPU profiles of the services while they are measured, in the folder of the results. They cost a little."`

	Growth   bool    `help:"Measure at growing sizes instead: the first of each, then more past sales, then more products, then more replicas."`
	Products []int64 `help:"Products, with --growth." default:"1000,100000,1000000" sep:","`
	Sales    []int64 `help:"Past sales, with --growth; 10000000 need about 40 GiB free in the temporary folder and a quarter of an hour to fill in, --sales 10000,1000000 do without." default:"10000,1000000,10000000" sep:","`
	Replicas []int64 `help:"Replicas of each consumer, with --growth." default:"1,2,4" sep:","`
}

// Validate implements kong's interface.
func (o *options) Validate() error {
	switch {
	case o.Rounds < 1:
		return errors.New("--rounds must be at least 1")
	case o.Seconds < .1 || o.Seconds > 600:
		return errors.New("--seconds must be from 0.1 to 600")
	}
	for _, e := range o.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("--env %s is not KEY=VALUE", e)
		}
	}
	if slices.Contains(o.Against, "") {
		return errors.New("--against names no revision: give it what git knows, such as HEAD~3, a tag or a commit")
	}
	if o.Growth && len(o.Against) > 0 {
		return errors.New("--against and --growth are two different runs: one compares revisions, the other sizes")
	}
	return o.checkSizes()
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Measure the store against what the machine can do."))
	if o.Quick {
		o.Rounds, o.Seconds = 1, min(o.Seconds, 1)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "bench: interrupted; the servers are stopped and their data is removed")
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
	b := &bench{options: o, root: root, show: progress.New(os.Stderr)}
	if err := b.resolve(ctx); err != nil {
		return err
	}
	selected, err := b.selection()
	if err != nil {
		return err
	}
	if o.List {
		for _, m := range selected {
			fmt.Printf("%-28s %s\n", m.Name(), m.About())
		}
		return nil
	}
	if o.Growth {
		selected = []measure.Measurement{shop.Measurement{Shop: &b.shop, Scenario: shop.Uniform()}}
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

// selection returns what the options ask for, with its twins. A quick run measures a peer
// that takes minutes to build only if --only names it.
func (b *bench) selection() ([]measure.Measurement, error) {
	selected, err := measure.Select(b.measurements(), b.options.Only)
	if err != nil {
		return nil, err
	}
	if b.options.Quick && len(b.options.Only) == 0 {
		selected = slices.DeleteFunc(selected, func(m measure.Measurement) bool {
			t, ok := m.(edge.Target)
			return ok && t.IsSlowToBuild()
		})
	}
	return b.withTwins(selected), nil
}

// room on the disk that a run of this many measurements of this many systems takes at
// most, mostly for the binary log, and what would need less.
func room(o options, measurements, systems int) (bytes uint64, less string) {
	if o.Growth {
		return o.growthRoom(), "end --sales and --products with less, such as --sales 10000,1000000"
	}
	return uint64(systems)<<31 + uint64(float64(measurements*o.Rounds)*o.Seconds*8*(1<<20)), "measure less with --only, --rounds or --seconds"
}

func (b *bench) preflight(selected []measure.Measurement) error {
	if err := b.compared(selected); err != nil {
		return err
	}
	if err := preflight.RaiseFiles(); err != nil {
		return err
	}
	systems := 1
	if hasTwins(selected, "shop") {
		systems += len(b.against)
	}
	bytes, less := room(b.options, len(selected), systems)
	if err := preflight.Space(os.TempDir(), bytes, less); err != nil {
		return err
	}
	if b.options.Addr != "" {
		if err := preflight.Free(b.options.Addr); err != nil {
			return err
		}
	}
	var needed []preflight.Program
	if needsServers(selected) {
		needed = append(needed, preflight.Servers...)
	}
	if needsPeers(selected) {
		needed = append(needed, preflight.Peers...)
	}
	return preflight.Installed(needed)
}

// measure runs all rounds and reports, also of a run that failed on the way.
func (b *bench) measure(ctx context.Context, selected []measure.Measurement) error {
	r := &report.Report{Began: time.Now(), Rounds: b.options.Rounds, Seconds: b.options.Seconds, Quick: b.options.Quick,
		Settings: b.settings(ctx), About: map[string]string{}}
	for _, m := range selected {
		r.About[m.Name()] = m.About()
	}
	var err error
	r.Samples, err = b.rounds(ctx, "", selected)
	if len(r.Samples) == 0 || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, b.report(r))
}

// rounds measures with a line for each; where, if any, says at what size.
func (b *bench) rounds(ctx context.Context, where string, selected []measure.Measurement) ([]measure.Sample, error) {
	total, began := len(selected)*b.options.Rounds, time.Now()
	if where != "" {
		b.show.Printf("  At %s", where)
	}
	return measure.Run(ctx, b.options.Rounds, time.Duration(b.options.Seconds*float64(time.Second)), selected,
		func(number int, m measure.Measurement, round int, do func() ([]measure.Figure, error)) error {
			var figures []measure.Figure
			what := fmt.Sprintf("%d/%d round %d %s%s", number, total, round, m.Name(), left(began, number-1, total))
			err := b.show.Run(what, func(func(string)) (err error) {
				figures, err = do()
				return err
			})
			if err == nil && len(figures) > 0 {
				b.show.Printf("      %s %s %s", report.Number(figures[0].Value), figures[0].Unit, figures[0].Name)
			}
			return err
		})
}

// left estimates how long the rest takes.
func left(began time.Time, done, total int) string {
	if done < 3 {
		return ""
	}
	each := time.Since(began) / time.Duration(done)
	return fmt.Sprintf(", %s left", progress.Short(each*time.Duration(total-done)))
}

func (b *bench) report(r *report.Report) error {
	r.Digest()
	r.Print(os.Stdout)
	base, err := r.Write(b.out())
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	plots, err := r.Plot(base)
	if err != nil {
		return err
	}
	fmt.Printf("\nAll samples: %s.json\n", base)
	for _, file := range plots {
		fmt.Printf("Plot: %s\n", file)
	}
	return nil
}

// out is the folder of the results.
func (b *bench) out() string {
	if filepath.IsAbs(b.options.Out) {
		return b.options.Out
	}
	return filepath.Join(b.root, b.options.Out)
}
