package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/hack/bench/internal/disk"
	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/proxies"
	"ecommerce-stack.dev/hack/bench/internal/revision"
	"ecommerce-stack.dev/hack/bench/internal/saga"
	"ecommerce-stack.dev/hack/bench/internal/shop"
	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/progress"
)

// serviceEnv disables the rate limits, because the load comes from one address.
var serviceEnv = []string{"RATE_LIMIT_RPS=0", "LOGIN_RATE_PER_MINUTE=0"}

// mysqlFlags are the durability settings of production (charts/mysql/files/my.cnf), with
// the binary log, and a buffer pool that holds the data of a run.
var mysqlFlags = []string{
	"--innodb-flush-log-at-trx-commit=1", "--innodb-doublewrite=ON", "--sync-binlog=1", "--log-bin=binlog", "--server-id=1",
	"--binlog-format=ROW", "--transaction-isolation=READ-COMMITTED", "--default-time-zone=+00:00",
	"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--performance-schema=OFF",
}

// baseline are the schemas of the baselines B1 and B4.
var baseline = fill.Schemas{Sales: "bench_sales", Stock: "bench_stock"}

// serverGroups are the groups of measurements that need the database and the broker.
var serverGroups = []string{"sql", "broker", "saga", "shop", "rest"}

// bench is a run and what it has started.
type bench struct {
	options options
	root    string
	show    *progress.Printer

	present     system
	earlier     []*system        // of --against and --traced
	receiver    *httptest.Server // of the traces of --traced
	environment saga.Environment
	proxies     proxies.Proxies
}

// system is a measured system.
type system struct {
	// revision is the source tree; its Root is always set when the system is started.
	revision revision.Revision
	local    *local.System
	db       *sql.DB
	shop     shop.Shop
}

func newBench(o options, root string) *bench {
	b := &bench{options: o, root: root, show: progress.New(os.Stderr)}
	b.proxies.Root, b.proxies.Bin = root, filepath.Join(root, "_out", "bench", "bin")
	return b
}

// resolveRevisions resolves the revisions of --against.
func (b *bench) resolveRevisions(ctx context.Context) error {
	var found []revision.Revision
	if len(b.options.Against) > 0 {
		var err error
		if found, err = revision.Resolve(ctx, b.root, b.options.Against); err != nil {
			return err
		}
	}
	if b.options.Traced {
		traced := revision.Present(b.root, "traced", "the present files, with a trace of every request")
		b.receiver = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
		traced.Env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + b.receiver.URL, "OTEL_TRACES_SAMPLER=parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG=1"}
		found = append(found, traced)
	}
	b.compareWith(found)
	return nil
}

func (b *bench) compareWith(revisions []revision.Revision) {
	for _, r := range revisions {
		s := &system{revision: r, shop: shop.Shop{Commit: r.Commit}}
		b.earlier, b.proxies.Against = append(b.earlier, s), append(b.proxies.Against, &s.revision)
	}
}

// measurements returns all measurements in the order of a round. The twins of a measurement
// follow it, so that compared measurements run at nearly the same time. The systems that they
// measure are started later.
func (b *bench) measurements() []measure.Measurement {
	shops := []*shop.Shop{&b.present.shop}
	for _, s := range b.earlier {
		shops = append(shops, &s.shop)
	}
	return slices.Concat([]measure.Measurement{disk.Sync()}, saga.Measurements(&b.environment), b.proxies.Measurements(), shop.Measurements(shops...),
		[]measure.Measurement{shop.Rest(&b.present.shop, filepath.Join(b.root, "_out", "images"))})
}

// inGroup reports whether a measurement of the groups is selected.
func inGroup(selected []measure.Measurement, groups ...string) bool {
	return slices.ContainsFunc(selected, func(m measure.Measurement) bool { return slices.Contains(groups, measure.Group(m.Name)) })
}

// hasTwins reports whether a twin of the group is selected.
func hasTwins(selected []measure.Measurement, group string) bool {
	return slices.ContainsFunc(selected, func(m measure.Measurement) bool {
		_, commit := measure.Present(m.Name)
		return commit != "" && measure.Group(m.Name) == group
	})
}

// start starts the systems that the selected measurements need.
func (b *bench) start(ctx context.Context, selected []measure.Measurement) error {
	for _, s := range b.earlier {
		if err := s.revision.Extract(ctx, b.root); err != nil {
			return err
		}
	}
	if inGroup(selected, "http") {
		err := b.show.Run("Build and start the proxies", func(detail func(string)) error { return b.proxies.Start(ctx, measure.Names(selected), detail) })
		if err != nil {
			return err
		}
	}
	if !inGroup(selected, serverGroups...) {
		return nil
	}
	b.present.revision.Root = b.root
	if err := b.startSystem(ctx, &b.present, "Start MariaDB, RabbitMQ and the services"); err != nil {
		return err
	}
	if inGroup(selected, "sql", "broker", "saga") {
		if err := b.show.Run("Prepare the baselines", func(func(string)) error { return b.prepareBaselines(ctx) }); err != nil {
			return err
		}
	}
	if hasTwins(selected, "shop") {
		for _, s := range b.earlier {
			if err := b.startSystem(ctx, s, "Start MariaDB, RabbitMQ and the services of "+s.revision.Commit); err != nil {
				return s.revision.Incompatible(err)
			}
		}
	}
	return nil
}

// startSystem starts a system with production settings of the servers and without links to
// them, and adds the products.
func (b *bench) startSystem(ctx context.Context, s *system, what string) error {
	env := slices.Concat(serviceEnv, b.options.Env, s.revision.Env)
	return b.show.Run(what, func(func(string)) (err error) {
		s.local, err = local.Start(ctx, local.Options{Root: s.revision.Root, MySQLFlags: mysqlFlags, Direct: true, Env: env})
		if err != nil {
			return err
		}
		if s.db, err = sql.Open("mysql", s.local.MySQL.DSN); err != nil {
			return err
		}
		s.db.SetMaxIdleConns(saga.Clients)
		if err := fill.Products(ctx, s.db, fill.Shop, 1, mix.Products, func(int64) {}); err != nil {
			return err
		}
		return s.shop.Open(s.local, s.db)
	})
}

// prepareBaselines creates the schemas of B1 and B4, with the services' migrations, and the queues
// of B2 and B4.
func (b *bench) prepareBaselines(ctx context.Context) error {
	s := b.present.local
	config, err := mysql.ParseDSN(s.MySQL.DSN)
	if err != nil {
		return fmt.Errorf("parse the DSN of the database: %w", err)
	}
	for service, schema := range map[string]string{"sales": baseline.Sales, "stock": baseline.Stock} {
		if _, err := b.present.db.ExecContext(ctx, "CREATE DATABASE "+schema+" CHARACTER SET utf8mb4"); err != nil {
			return err
		}
		config.DBName = schema
		cmd := exec.CommandContext(ctx, filepath.Join(s.Dir, "bin", service), "migrate")
		cmd.Env = append(os.Environ(), "MYSQL_DSN="+config.FormatDSN())
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("migrate %s: %w\n%s", schema, err, out)
		}
	}
	if err := fill.Products(ctx, b.present.db, baseline, 1, mix.Products, func(int64) {}); err != nil {
		return err
	}
	amqp := s.RabbitMQ.Info.URL() // of the default virtual host; the services have another
	b.environment = saga.Environment{DSN: s.MySQL.DSN, Sales: baseline.Sales, Stock: baseline.Stock, AMQP: amqp,
		Servers: map[string]int{"MariaDB": s.MySQL.PID, "RabbitMQ": s.RabbitMQ.PID}}
	return saga.Declare(amqp)
}

// stop stops everything that was started and removes its data.
func (b *bench) stop() error {
	errs := []error{b.present.stop(), b.proxies.Stop()}
	for _, s := range b.earlier {
		errs = append(errs, s.stop(), s.revision.Remove())
	}
	if b.receiver != nil {
		b.receiver.Close()
	}
	return errors.Join(errs...)
}

func (s *system) stop() error {
	var errs []error
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.local != nil {
		errs = append(errs, s.local.Stop())
	}
	return errors.Join(errs...)
}
