package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/hack/bench/internal/child"
	"ecommerce-stack.dev/hack/bench/internal/disk"
	"ecommerce-stack.dev/hack/bench/internal/edge"
	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/saga"
	"ecommerce-stack.dev/hack/bench/internal/shop"
	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/progress"
)

// serviceEnv disables the rate limits, because the load comes from one address.
var serviceEnv = []string{"RATE_LIMIT_RPS=0", "LOGIN_RATE_PER_MINUTE=0"}

// baseline are the schemas of the baselines B1 and B4.
var baseline = fill.Schemas{Sales: "bench_sales", Stock: "bench_stock"}

// bench is a run and what it has started.
type bench struct {
	options options
	root    string
	show    *progress.Printer

	store
	// against are the earlier revisions of --against.
	against     []*earlierSystem
	environment saga.Environment
	edge        edge.Edge
	// profiles is the folder that the services write profiles to, or "" without
	// --profile.
	profiles string
	taker    *profile.Taker
}

// measurements returns all measurements in the order of a round. The systems that they
// measure are started later.
func (b *bench) measurements() []measure.Measurement {
	all := []measure.Measurement{disk.Sync{}}
	for _, n := range []int{1, 16, 64, 256} {
		all = append(all, deferred{saga.SQL{Batch: n}, func() measure.Measurement { return saga.SQL{Environment: b.environment, Batch: n} }})
	}
	for _, n := range []int{1, 200, 1000} {
		all = append(all, deferred{saga.Broker{InFlight: n}, func() measure.Measurement { return saga.Broker{Environment: b.environment, InFlight: n} }})
	}
	for _, together := range []bool{false, true} {
		for _, orders := range []struct {
			label string
			mix   mix.Mix
		}{{"uniform", mix.Uniform}, {"hot", mix.Hot}} {
			p := saga.Pipeline{Label: orders.label, Mix: orders.mix, Together: together}
			all = append(all, deferred{p, func() measure.Measurement { p := p; p.Environment = b.environment; return p }})
		}
	}
	for _, t := range edge.Targets() {
		all = append(all, t.On(&b.edge))
	}
	for _, s := range []shop.Scenario{shop.Uniform(), shop.Hot(), shop.Carts(), shop.Holds(), shop.Browse()} {
		all = append(all, shop.Measurement{Shop: &b.shop, Scenario: s})
	}
	return append(all, shop.Rest{Shop: &b.shop, Images: filepath.Join(b.root, "_out", "images")})
}

func inGroup(selected []measure.Measurement, groups ...string) bool {
	for _, m := range selected {
		group, _, _ := strings.Cut(m.Name(), "/")
		for _, g := range groups {
			if g == group {
				return true
			}
		}
	}
	return false
}

// targets returns the selected measurements of proxies.
func targets(selected []measure.Measurement) []edge.Target {
	var found []edge.Target
	for _, m := range selected {
		if t, ok := m.(edge.Target); ok {
			found = append(found, t)
		}
	}
	return found
}

func needsServers(selected []measure.Measurement) bool {
	return inGroup(selected, "sql", "broker", "saga", "shop", "rest")
}

func needsPeers(selected []measure.Measurement) bool { return inGroup(selected, "http") }

// start starts the systems that the selected measurements need.
func (b *bench) start(ctx context.Context, selected []measure.Measurement) error {
	if err := b.extractRevisions(ctx); err != nil {
		return err
	}
	if err := b.prepareProfiles(); err != nil {
		return err
	}
	if needsPeers(selected) {
		b.edge.Root, b.edge.Bin = b.root, filepath.Join(b.root, "_out", "bench", "bin")
		b.edge.Measured = targets(selected)
		if hasTwins(selected, "http") {
			b.edge.Against = b.revisions()
		}
		err := b.show.Run("Build and start the proxies", func(detail func(string)) error { return b.edge.Start(ctx, detail) })
		if err != nil {
			return err
		}
	}
	if !needsServers(selected) {
		return nil
	}
	if err := b.startSystem(ctx); err != nil || !hasTwins(selected, "shop") {
		return err
	}
	return b.startEarlierSystems(ctx)
}

// prepareProfiles makes all later builds of the services support profiles.
func (b *bench) prepareProfiles() (err error) {
	if !b.options.Profile {
		return nil
	}
	if b.profiles, err = child.Folder("profiles"); err != nil {
		return err
	}
	roots := []string{b.root}
	for _, r := range b.revisions() {
		roots = append(roots, r.Root)
	}
	flags, err := profile.Flags(roots, b.profiles, shop.Services)
	if err != nil {
		return err
	}
	taker := &profile.Taker{Work: b.profiles, Out: filepath.Join(b.out(), "profiles")}
	b.edge.Profiles, b.taker = taker, taker
	return errors.Join(os.Setenv("GOFLAGS", flags), os.Setenv(profile.Variable, b.profiles))
}

func (b *bench) startSystem(ctx context.Context) error {
	err := b.show.Run("Start MariaDB, RabbitMQ and the services", func(detail func(string)) error {
		return b.open(ctx, local.Options{Root: b.root, GatewayAddr: b.options.Addr, Env: b.env(), Log: details(detail)})
	})
	if err != nil {
		return err
	}
	return b.show.Run(fmt.Sprintf("Add %d products", mix.Products), func(func(string)) error {
		if err := b.stock(ctx, b.taker); err != nil {
			return err
		}
		return b.prepareBaselines(ctx)
	})
}

// env returns the environment of every measured service.
func (b *bench) env() []string {
	env := append(slices.Clone(serviceEnv), b.options.Env...)
	if b.profiles != "" {
		env = append(env, profile.Variable+"="+b.profiles)
	}
	return env
}

// details is a writer that shows each line as the progress of a step.
type details func(string)

func (d details) Write(line []byte) (int, error) {
	d(string(line))
	return len(line), nil
}

// prepareBaselines creates the schemas of B1 and B4, with the services' migrations, and
// a virtual host.
func (b *bench) prepareBaselines(ctx context.Context) error {
	for service, schema := range map[string]string{"sales": baseline.Sales, "stock": baseline.Stock} {
		if _, err := b.db.ExecContext(ctx, "CREATE DATABASE "+schema+" CHARACTER SET utf8mb4"); err != nil {
			return err
		}
		dsn, err := dsnWithSchema(b.system.MySQL.DSN, schema)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, filepath.Join(b.system.Dir, "bin", service), "migrate")
		cmd.Env = append(os.Environ(), "MYSQL_DSN="+dsn)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("migrate %s: %w\n%s", schema, err, out)
		}
	}
	if err := fill.Products(ctx, b.db, baseline, 1, mix.Products, nil); err != nil {
		return err
	}
	info := b.system.RabbitMQ.Info
	info.VHost = "bench"
	b.environment = saga.Environment{DSN: b.system.MySQL.DSN, Sales: baseline.Sales, Stock: baseline.Stock, AMQP: info.URL(),
		Servers: map[string]int{"MariaDB": b.system.MySQL.PID, "RabbitMQ": b.system.RabbitMQ.PID}}
	client, err := info.Management()
	if err != nil {
		return err
	}
	res, err := client.PutVhost(info.VHost, rabbithole.VhostSettings{})
	if err != nil {
		return fmt.Errorf("create a virtual host: %w", err)
	}
	_ = res.Body.Close()
	if res, err = client.UpdatePermissionsIn(info.VHost, info.Username, rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"}); err != nil {
		return fmt.Errorf("set the permissions of the virtual host: %w", err)
	}
	_ = res.Body.Close()
	return saga.Declare(b.environment.AMQP)
}

// stop stops everything that was started and removes its data.
func (b *bench) stop() error {
	errs := []error{b.close()}
	for _, p := range b.against {
		errs = append(errs, p.close())
	}
	if b.profiles != "" {
		errs = append(errs, os.RemoveAll(b.profiles))
	}
	errs = append(errs, b.edge.Stop())
	for _, r := range b.revisions() {
		errs = append(errs, r.Remove())
	}
	return errors.Join(errs...)
}
