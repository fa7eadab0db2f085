package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/authn/authntest"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

func TestStopWhileDatabaseIsUnavailableIsClean(t *testing.T) {
	keys := authntest.New(t)
	database, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections and sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close()
	for name, value := range map[string]string{
		"HTTP_ADDR": "127.0.0.1:0", "METRICS_ADDR": "127.0.0.1:0", "LOG_LEVEL": "error",
		"JWT_ISSUER": authntest.Issuer, "JWT_AUDIENCE": authntest.Audience, "JWT_KEYS_FILE": keys.File,
		"JWT_SIGNING_FILE": keys.SigningFile, "JWT_ACTIVE_FILE": keys.ActiveFile, "BCRYPT_COST": "4",
		"MYSQL_DSN":     fmt.Sprintf("auth:secret@tcp(%s)/auth", database.Addr()),
		"MANAGER_EMAIL": "boss@example.com", "MANAGER_PASSWORD": "correct horse battery",
	} {
		t.Setenv(name, value)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		if _, err := database.Accept(); err == nil { // ensureManager is running
			stop()
		}
	}()
	if err := serve(ctx); err != nil {
		t.Errorf("got %v, want a clean end", err)
	}
}

func TestInvalidRestorationsAreNamed(t *testing.T) {
	t.Parallel()
	for what, environment := range map[string]map[string]string{
		"MANAGER_RESTORE exceeds 64 bytes":             {"MANAGER_EMAIL": "e", "MANAGER_PASSWORD": "p", "MANAGER_RESTORE": strings.Repeat("r", 65)},
		"MANAGER_RESTORE is set without MANAGER_EMAIL": {"MANAGER_RESTORE": "r"},
		"": {"MANAGER_EMAIL": "e", "MANAGER_PASSWORD": "p", "MANAGER_RESTORE": strings.Repeat("r", 64)},
	} {
		for name, value := range map[string]string{"MYSQL_DSN": "u:p@tcp(db)/s", "JWT_ISSUER": "i", "JWT_AUDIENCE": "a", "JWT_KEYS_FILE": "f",
			"JWT_SIGNING_FILE": "f", "JWT_ACTIVE_FILE": "f"} {
			environment[name] = value
		}
		_, err := config.LoadFrom[settings](environment)
		if what == "" && err != nil || what != "" && (err == nil || !strings.Contains(err.Error(), what)) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}

func newServer(t *testing.T) (*server.Server, *slog.Logger, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	log := telemetry.NewLogger(&out, name, slog.LevelInfo)
	return server.New(server.Options{
		Name: name, Log: log, Metrics: telemetry.NewRegistry(name), Health: health.New(),
		Config: lifecycle.Config{HTTPAddr: "127.0.0.1:0", MetricsAddr: "127.0.0.1:0", ShutdownTimeout: 10 * time.Second},
	}), log, &out
}

var errUnavailable = failure.Unavailable(time.Second, errors.New("connection refused"))

func TestInvalidManagerSettingsFailStart(t *testing.T) {
	t.Parallel()
	srv, log, _ := newServer(t)
	wrong := failure.Invalid("body.password", "expected another password")
	if err := ensureManager(t.Context(), srv, log, func(context.Context) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("got %v, want %v", err, wrong)
	}
}

func TestManagerIsCreatedOnceDatabaseIsAvailable(t *testing.T) {
	t.Parallel()
	srv, log, _ := newServer(t)
	created, calls := make(chan struct{}), 0
	err := ensureManager(t.Context(), srv, log, func(context.Context) error {
		if calls++; calls < 3 {
			return errUnavailable
		}
		close(created)
		return nil
	})
	if err != nil {
		t.Fatalf("while the database is unavailable: got %v", err)
	}
	select {
	case <-created:
	case <-time.After(10 * time.Second):
		t.Error("the manager was not created")
	}
}

func TestStopWhileCreatingManagerIsNoError(t *testing.T) {
	t.Parallel()
	for stopped := range 2 { // in the first attempt, or in a later one
		srv, log, out := newServer(t)
		ctx, stop := context.WithCancel(t.Context())
		calls := 0
		err := ensureManager(ctx, srv, log, func(ctx context.Context) error {
			if calls++; calls <= stopped {
				return errUnavailable
			}
			stop()
			<-ctx.Done()
			return ctx.Err()
		})
		if err != nil {
			t.Errorf("a stop in attempt %d: got %v, want none", stopped+1, err)
		}
		if err := srv.Run(ctx); err != nil {
			t.Errorf("a stop in attempt %d: the server ended with %v", stopped+1, err)
		}
		if strings.Contains(out.String(), "ERROR") {
			t.Errorf("a stop in attempt %d was logged as an error:\n%s", stopped+1, out)
		}
	}
}
