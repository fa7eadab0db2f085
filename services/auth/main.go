// Command auth implements the auth service: the accounts of users, their sessions, and the tokens
// that all services verify. It serves the REST API under /auth.
//
// Usage: auth [serve | migrate | openapi]. Settings are environment variables; see
// docs/contracts.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/auth/internal/account"
	"ecommerce-stack.dev/services/auth/internal/httpapi"
	"ecommerce-stack.dev/services/auth/internal/mysql"
	"ecommerce-stack.dev/services/auth/internal/password"
	"ecommerce-stack.dev/services/auth/internal/token"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/command"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
)

const (
	name  = "auth"
	title = "Auth: accounts and sessions"
)

// cleanupInterval is the time between deletions of expired tokens and counts.
const cleanupInterval = 10 * time.Minute

// clockTolerance is added to the lifetime of tokens, which replicas sign and verify by their own
// clocks.
const clockTolerance = time.Minute

type settings struct {
	Server          lifecycle.Config
	Tokens          authn.Config
	Signing         token.Config
	MySQL           config.Secret `env:"MYSQL_DSN,required,notEmpty"`
	RefreshTTL      time.Duration `env:"REFRESH_TOKEN_TTL" envDefault:"720h"`
	RefreshGrace    time.Duration `env:"REFRESH_GRACE" envDefault:"10s"`
	BcryptCost      int           `env:"BCRYPT_COST" envDefault:"12"`
	HashConcurrency int           `env:"HASH_CONCURRENCY"`
	ManagerEmail    string        `env:"MANAGER_EMAIL"`
	ManagerPassword config.Secret `env:"MANAGER_PASSWORD"`
	// ManagerRestore requests that the account of ManagerEmail is restored, once for each value.
	ManagerRestore string `env:"MANAGER_RESTORE"`
}

// Check implements config.Checker.
func (s settings) Check() error {
	var errs []error
	for violation, found := range map[string]bool{
		fmt.Sprintf("BCRYPT_COST is not from %d to %d", password.MinCost, password.MaxCost): s.BcryptCost < password.MinCost || s.BcryptCost > password.MaxCost,
		"HASH_CONCURRENCY is negative":                              s.HashConcurrency < 0,
		"ACCESS_TOKEN_TTL is not positive":                          s.Signing.TTL <= 0,
		"REFRESH_GRACE is not from 0s to 1m":                        s.RefreshGrace < 0 || s.RefreshGrace > time.Minute,
		"REFRESH_TOKEN_TTL is not positive":                         s.RefreshTTL <= 0,
		fmt.Sprintf("MANAGER_RESTORE exceeds %d bytes", maxRequest): len(s.ManagerRestore) > maxRequest,
		"MANAGER_RESTORE is set without MANAGER_EMAIL":              s.ManagerRestore != "" && s.ManagerEmail == "",
		"only one of MANAGER_EMAIL and MANAGER_PASSWORD is set":     (s.ManagerEmail == "") != (s.ManagerPassword == ""),
	} {
		if found {
			errs = append(errs, errors.New(violation))
		}
	}
	return errors.Join(errs...)
}

// normalizeEmails calls Service.NormalizeEmails until it succeeds once.
func normalizeEmails(ctx context.Context, accounts *account.Service, log *slog.Logger, duplicates prometheus.Gauge) {
	tick := time.NewTicker(cleanupInterval)
	defer tick.Stop()
	for {
		n, err := accounts.NormalizeEmails(ctx)
		if err == nil {
			duplicates.Set(float64(n))
			return
		}
		log.WarnContext(ctx, "normalizing emails failed, retrying", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
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
	signer, err := token.NewSigner(c.Signing, c.Tokens.Issuer, c.Tokens.Audience)
	if err != nil {
		return err
	}
	if c.HashConcurrency == 0 {
		c.HashConcurrency = runtime.GOMAXPROCS(0)
	}
	hasher, err := password.NewHasher(c.BcryptCost, c.HashConcurrency, metrics)
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
	checks.Add("database", func(ctx context.Context) error { return database.Ping(ctx, db) })
	revocations := func(ctx context.Context) ([]authn.Revocation, error) {
		return mysql.NewStore(db).Revocations(ctx, c.Signing.TTL+clockTolerance)
	}
	accounts := &account.Service{Store: mysql.NewStore(db), Signer: signer, Hasher: hasher,
		RefreshTTL: c.RefreshTTL, RefreshGrace: c.RefreshGrace, Log: log, Now: database.Now}

	srv := server.New(server.Options{Name: name, Title: title, DefaultAddr: ":5004",
		Config: c.Server, Log: log, Metrics: metrics, Health: checks, Verifier: verifier, Revocations: revocations, SigningKey: signer.ActiveKey})
	srv.Internal(authn.RevocationsPattern, authn.RevocationsHandler(revocations, log))
	api := httpapi.API{Accounts: accounts, PublicKeys: verifier.PublicKeys}
	api.Register(srv.API())

	if c.ManagerEmail != "" {
		restoration := restoration{request: c.ManagerRestore}
		srv.Internal(restorationPattern, &restoration)
		ensure := func(ctx context.Context) error {
			if c.ManagerRestore == "" {
				return accounts.EnsureManager(ctx, c.ManagerEmail, c.ManagerPassword.Reveal())
			}
			err := accounts.RestoreManager(ctx, c.ManagerEmail, c.ManagerPassword.Reveal(), c.ManagerRestore)
			restoration.done.Store(err == nil)
			return err
		}
		if err := ensureManager(ctx, srv, log, ensure); err != nil {
			return err
		}
	}
	duplicates := prometheus.NewGauge(prometheus.GaugeOpts{Name: "auth_duplicate_emails",
		Help: "Accounts whose email is that of another account in another form, at the start of the replica."})
	metrics.MustRegister(duplicates)
	srv.Background("emails", func(ctx context.Context) { normalizeEmails(ctx, accounts, log, duplicates) })
	srv.Background("keys", func(ctx context.Context) { verifier.Watch(ctx, log) })
	srv.Background("signing key", func(ctx context.Context) { signer.Watch(ctx, log) })
	clock := database.Clock(db)
	srv.Every(cleanupInterval, "delete expired", func(ctx context.Context) error {
		now, err := clock(ctx)
		if err != nil {
			return err
		}
		return accounts.Store.DeleteExpired(ctx, now)
	})
	srv.OnStop("database", func(context.Context) error { return database.Close(db) })
	srv.OnStop("tracing", stopTracing)
	return srv.Run(ctx)
}
