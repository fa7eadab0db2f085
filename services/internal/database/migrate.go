package database

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// migrationTimeout is the timeout of one statement of a migration. Adding an index to a
// large table takes longer than a request may take.
const migrationTimeout = time.Hour

// migrationLockWait is the lock wait timeout of a migration, in seconds.
const migrationLockWait = 60

// Migrate applies the SQL files in migrations that the schema of dsn does not have yet.
// A lock in the schema serializes concurrent calls. Migrate waits until ctx is done for a
// database that is unavailable. DDL statements cannot be rolled back, so each statement is
// recorded: a migration that was interrupted at any of them is continued by the next call.
func Migrate(ctx context.Context, dsn string, migrations fs.FS, log *slog.Logger) error {
	pool, err := openPool(dsn, migrationTimeout, migrationLockWait)
	if err != nil {
		return err
	}
	defer pool.Close()
	for {
		err := pool.PingContext(ctx)
		if err == nil {
			break
		}
		if !IsUnavailable(err) {
			return fmt.Errorf("connect to the database: %w", err)
		}
		log.InfoContext(ctx, "waiting for the database", "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the database: %w", errors.Join(ctx.Err(), err))
		case <-time.After(time.Second):
		}
	}
	locker, err := lock.NewMySQLTableLocker(lock.WithTableLockTimeout(time.Second, 300),
		lock.WithTableUnlockTimeout(time.Second, 10))
	if err != nil {
		return fmt.Errorf("prepare the migration lock: %w", err)
	}
	statements, err := readMigrations(migrations)
	if err != nil {
		return err
	}
	if err := prepareStatements(ctx, pool, statements); err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, pool, nil, goose.WithGoMigrations(statements...),
		goose.WithLocker(locker), goose.WithSlog(log), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, r := range results {
		log.InfoContext(ctx, "migrated", "version", r.Source.Version, "seconds", r.Duration.Seconds())
	}
	return nil
}
