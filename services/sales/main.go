// Command sales is the service for orders. It serves the REST API under /sales and consumes
// the events that stock publishes.
//
// Usage: sales [serve | migrate | openapi]. Its settings are environment variables, which
// docs/contracts.md describes.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/broker"
	"ecommerce-stack.dev/services/internal/command"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/reservations"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
	"ecommerce-stack.dev/services/sales/internal/httpapi"
	"ecommerce-stack.dev/services/sales/internal/messaging"
	"ecommerce-stack.dev/services/sales/internal/mysql"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

const (
	name  = "sales"
	title = "Sales: orders"
)

const (
	// expireInterval is the time between two searches for holds that have expired.
	expireInterval = time.Second
	// repeatInterval is the time between two searches for sales to which stock has not responded.
	repeatInterval = time.Second
	// minReconcileAfter and maxReconcileAfter are the limits of RECONCILE_AFTER.
	minReconcileAfter, maxReconcileAfter = time.Second, time.Hour
	// purgeInterval is the time between two deletions of rows whose retention has passed.
	purgeInterval = time.Hour
	// compareInterval is the time between two ranges of sales that are compared with stock.
	compareInterval = 10 * time.Second
	// measureInterval is the time between two updates of the metrics of rows.
	measureInterval = 10 * time.Second
)

type settings struct {
	Server lifecycle.Config
	Tokens authn.Config
	MySQL  config.Secret `env:"MYSQL_DSN,required,notEmpty"`
	AMQP   config.Secret `env:"AMQP_URL,required,notEmpty"`
	// Reservations is the URL of reservations.Pattern at stock.
	Reservations string `env:"RESERVATIONS_URL,required,notEmpty"`
	// Revocations is the URL of authn.RevocationsPattern at auth.
	Revocations string        `env:"REVOCATIONS_URL,required,notEmpty"`
	Currency    string        `env:"CURRENCY" envDefault:"USD"`
	HoldTTL     time.Duration `env:"HOLD_TTL" envDefault:"15m"`
	// ReconcileAfter is how long sales waits for a response of stock before it repeats a command.
	ReconcileAfter time.Duration `env:"RECONCILE_AFTER" envDefault:"1m"`
}

// Check implements config.Checker.
func (s settings) Check() error {
	if s.HoldTTL <= 0 {
		return errors.New("HOLD_TTL must be above 0")
	}
	if s.ReconcileAfter < minReconcileAfter || s.ReconcileAfter > maxReconcileAfter {
		return fmt.Errorf("RECONCILE_AFTER must be from %s to %s", minReconcileAfter, maxReconcileAfter)
	}
	if err := money.CheckCurrency(s.Currency); err != nil {
		return fmt.Errorf("CURRENCY: %w", err)
	}
	return nil
}

func main() {
	command.Main(name, map[string]func(context.Context) error{"serve": serve, "migrate": command.Migrate(name, mysql.Migrations()),
		"openapi": server.PrintDocument(name, title, new(httpapi.API).Register)})
}

func serve(ctx context.Context) error {
	c, err := config.Load[settings]()
	if err != nil {
		return err
	}
	log, metrics, checks := telemetry.NewLogger(telemetry.Stdout, name, c.Server.LogLevel), telemetry.NewRegistry(name), health.New()
	stopTracing, err := tracing.Start(tracing.Options{Config: c.Server.Tracing, Service: name, Log: log, Metrics: metrics})
	if err != nil {
		return err
	}
	verifier, err := authn.NewVerifier(c.Tokens)
	if err != nil {
		return err
	}
	db, err := database.Open(c.MySQL.Reveal())
	if err != nil {
		return err
	}
	if err := database.RegisterMetrics(db, name, metrics); err != nil {
		return err
	}
	publisher := broker.NewPublisher(c.AMQP.Reveal(), name+" publisher")
	checks.Add("database", func(ctx context.Context) error { return database.Ping(ctx, db) })
	checks.Add("broker", publisher.Ping)

	watcher, measured := sale.NewWatcher(log), newMetrics(metrics)
	events := outbox.New(name, db, publisher, log, metrics)
	store := mysql.New(db, events, func(ctx context.Context, changed sale.Sale, decided bool) {
		watcher.Changed(changed.ID)
		if decided {
			seconds := measured.recordDecision(changed)
			log.InfoContext(ctx, "sale decided", "saleId", changed.ID, "outcome", changed.Status, "reason", changed.Reason,
				"hold", changed.Hold, "seconds", seconds)
		}
	})
	store.SetRepeatAfter(c.ReconcileAfter)
	handler := messaging.Handler{Store: store}
	consumer := broker.NewConsumer(broker.Settings{
		URL: c.AMQP.Reveal(), Name: name + " consumer", Queue: event.SalesQueue, IsTransient: database.IsTransient,
		IsConflict: database.IsConflict, Locked: handler.Locked,
	}, handler, log, metrics)

	collector := broker.DeadLetterCollector{URL: c.AMQP.Reveal(), Name: name + " dead letters", Store: store.StoreDeadLetter,
		IsTransient: func(err error) bool { return database.IsTransient(err) || database.IsConflict(err) }, Log: log}
	srv := server.New(server.Options{Name: name, Title: title, DefaultAddr: ":5002",
		Config: c.Server, Log: log, Metrics: metrics, Health: checks, Verifier: verifier, Revocations: authn.FetchRevocations(c.Revocations)})
	api := httpapi.API{Store: store, DeadLetters: store, Redrive: publisher.Redrive, Watcher: watcher, Currency: c.Currency, HoldTTL: c.HoldTTL,
		Draining: srv.Draining(), Now: database.Clock(db), Log: log}
	api.Register(srv.API())

	// They stop in this order, so that the outbox publishes the events that the others commit.
	srv.Background("keys", func(ctx context.Context) { verifier.Watch(ctx, log) })
	srv.Background("watcher", func(ctx context.Context) { watcher.Run(ctx, store) })
	srv.Background("consumer", consumer.Run)
	srv.Background("dead letters", collector.Run)
	srv.Every(expireInterval, "expiry", func(ctx context.Context) error {
		for {
			n, err := store.Expire(ctx)
			if err != nil || n == 0 {
				return err
			}
		}
	})
	srv.Every(repeatInterval, "reconciliation", reconciliation{publisher.Waiting, store.Repeat, measured.recordRepeated, log}.run)
	compared := newComparison(store, reservations.Fetch(c.Reservations), log, metrics)
	srv.Every(compareInterval, "comparison with stock", compared.run)
	srv.Every(measureInterval, "measurement", func(ctx context.Context) error { return measured.update(ctx, store) })
	srv.Every(purgeInterval, "purge", store.Purge)
	srv.Every(measureInterval, "outbox size", events.Measure)
	srv.Background("outbox", events.Run)
	srv.OnStop("broker", func(context.Context) error { publisher.Close(); return nil })
	srv.OnStop("database", func(context.Context) error { return database.Close(db) })
	srv.OnStop("tracing", stopTracing)
	return srv.Run(ctx)
}
