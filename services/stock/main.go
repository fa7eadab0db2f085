// Command stock is the service for the catalog and the inventory. It serves the REST API
// under /products and /stock, and consumes the events that sales publishes to reserve,
// remove and release goods.
//
// Usage: stock [serve | migrate | openapi]. Its settings are environment variables, which
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
	"ecommerce-stack.dev/services/stock/internal/httpapi"
	"ecommerce-stack.dev/services/stock/internal/messaging"
	"ecommerce-stack.dev/services/stock/internal/mysql"
)

const (
	name  = "stock"
	title = "Stock: catalog and inventory"
)

const (
	// purgeInterval is the time between two deletions of stored responses.
	purgeInterval = 10 * time.Minute
	// measureInterval is the time between two updates of the metrics of the outbox.
	measureInterval = 10 * time.Second
	// checkpointInterval is the time between two additions to the checkpoints of the audit, and
	// between two parts of the ledger that are compared with them.
	checkpointInterval = 30 * time.Second
)

type settings struct {
	Server lifecycle.Config
	Tokens authn.Config
	MySQL  config.Secret `env:"MYSQL_DSN,required,notEmpty"`
	AMQP   config.Secret `env:"AMQP_URL,required,notEmpty"`
	// Revocations is the URL of authn.RevocationsPattern at auth.
	Revocations string `env:"REVOCATIONS_URL,required,notEmpty"`
	Currency    string `env:"CURRENCY" envDefault:"USD"`
	// AuditInterval is the time between two audits in the background.
	AuditInterval time.Duration `env:"AUDIT_INTERVAL" envDefault:"5m"`
}

// Check implements config.Checker.
func (s settings) Check() error {
	if s.AuditInterval <= 0 {
		return errors.New("AUDIT_INTERVAL must be above 0")
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

	events := outbox.New(name, db, publisher, log, metrics)
	store := mysql.New(db, events)
	handler := messaging.Handler{Store: store, Log: log}
	consumer := broker.NewConsumer(broker.Settings{
		URL: c.AMQP.Reveal(), Name: name + " consumer", Queue: event.StockQueue, IsTransient: database.IsTransient,
		IsConflict: database.IsConflict, Locked: handler.Locked,
	}, handler, log, metrics)

	srv := server.New(server.Options{Name: name, Title: title, DefaultAddr: ":5003",
		Config: c.Server, Log: log, Metrics: metrics, Health: checks, Verifier: verifier, Revocations: authn.FetchRevocations(c.Revocations)})
	srv.Internal(reservations.Pattern, reservations.Handler(store.Reservations, log))
	api := httpapi.API{Catalog: store, Inventory: store, Currency: c.Currency}
	api.Register(srv.API())

	// They stop in this order, so that the outbox publishes the events that the consumer commits.
	srv.Background("keys", func(ctx context.Context) { verifier.Watch(ctx, log) })
	srv.Background("consumer", consumer.Run)
	audits := newAuditor(store.Audit, log, metrics)
	srv.Every(checkpointInterval, "audit checkpoints", func(ctx context.Context) error {
		for {
			more, err := store.AdvanceCheckpoint(ctx)
			if err != nil || !more {
				return err
			}
		}
	})
	srv.Every(c.AuditInterval, "audit", audits.run)
	checkpoints := store.NewCheckpointVerifier()
	srv.Every(checkpointInterval, "audit of checkpoints", func(ctx context.Context) error { return audits.verify(ctx, checkpoints.Verify) })
	srv.Every(purgeInterval, "purge", store.Purge)
	srv.Every(measureInterval, "outbox size", events.Measure)
	srv.Background("outbox", events.Run)
	srv.OnStop("broker", func(context.Context) error { publisher.Close(); return nil })
	srv.OnStop("database", func(context.Context) error { return database.Close(db) })
	srv.OnStop("tracing", stopTracing)
	return srv.Run(ctx)
}
