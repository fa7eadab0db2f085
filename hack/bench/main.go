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
	Rounds  int      `help:"Number of rounds." default:"5"`
	Seconds float64  `help:"Duration of each measurement, in seconds." default:"5"`
	Only    []string `help:"Names, parts of names or patterns of the measurements to run; see --list." sep:","`
	Quick   bool     `help:"One round of one second for each measurement, to check that everything works. Traefik, which takes minutes to build, is measured only if --only names it."`
	List    bool     `help:"List the measurements and exit."`
	Addr    string   `help:"Address that the gateway listens on; the default is a free loopback port."`
	Env     []string `help:"Environment variable of the services, as KEY=VALUE." sep:"none"`
	Out     string   `help:"Folder of the results." default:"_out/bench"`

	Against []string `help:"Earlier git revisions whose gateway and services are measured, too; HEAD compares uncommitted changes." placeholder:"REV" sep:","`

	Profile bool `help:"Write CPU profiles of the measured services to the folder of the results. This adds a small overhead."`

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
	}
	for _, e := range o.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			return fmt.Errorf("--env %s is not KEY=VALUE", e)
		}
	}
	if slices.Contains(o.Against, "") {
		return errors.New("--against needs a git revision, such as HEAD~3, a tag or a commit")
	}
	if o.Growth && len(o.Against) > 0 {
		return errors.New("--against and --growth cannot be combined: run them separately")
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
	b := &bench{options: o, root: root, show: progress.New(os.Stderr)}
	if err := b.resolveRevisions(ctx); err != nil {
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

// selection returns the selected measurements with their twins. A quick run includes a peer
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

// requiredSpace returns the maximum disk space of a run, in bytes, most of which is the
// binary log, and how to reduce it.
func requiredSpace(o options, measurements, systems int) (bytes uint64, less string) {
	if o.Growth {
		return o.growthSpace(), "use smaller --sales and --products, such as --sales 10000,1000000"
	}
	return uint64(systems)<<31 + uint64(float64(measurements*o.Rounds)*o.Seconds*8*(1<<20)), "measure less with --only, --rounds or --seconds"
}

func (b *bench) preflight(selected []measure.Measurement) error {
	if err := b.checkAgainst(selected); err != nil {
		return err
	}
	if err := preflight.RaiseFiles(); err != nil {
		return err
	}
	systems := 1
	if hasTwins(selected, "shop") {
		systems += len(b.against)
	}
	bytes, less := requiredSpace(b.options, len(selected), systems)
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

// measure runs all rounds and writes the report, also if a round fails.
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

// rounds runs all rounds and prints a line for each measurement. where describes the
// size, or is "".
func (b *bench) rounds(ctx context.Context, where string, selected []measure.Measurement) ([]measure.Sample, error) {
	total, began := len(selected)*b.options.Rounds, time.Now()
	if where != "" {
		b.show.Printf("  At %s", where)
	}
	return measure.Run(ctx, b.options.Rounds, time.Duration(b.options.Seconds*float64(time.Second)), selected,
		func(number int, m measure.Measurement, round int, do func() ([]measure.Figure, error)) error {
			var figures []measure.Figure
			what := fmt.Sprintf("%d/%d round %d %s%s", number, total, round, m.Name(), remaining(began, number-1, total))
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

// remaining returns the estimated time of the remaining measurements as text.
func remaining(began time.Time, done, total int) string {
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

// out returns the path of the folder of the results.
func (b *bench) out() string {
	if filepath.IsAbs(b.options.Out) {
		return b.options.Out
	}
	return filepath.Join(b.root, b.options.Out)
}
