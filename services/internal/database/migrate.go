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

// migrationTimeout bounds one statement of a migration: a new index on a large
// table takes longer than a request may.
const migrationTimeout = time.Hour

// Migrate brings the schema of dsn up to date with the SQL files in migrations.
// Replicas that start together take turns by a lock in the schema. The database
// may still be starting: Migrate waits for it until ctx ends. Each file can be run
// again after it was interrupted.
func Migrate(ctx context.Context, dsn string, migrations fs.FS, log *slog.Logger) error {
	pool, err := openPool(dsn, migrationTimeout)
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
			return fmt.Errorf("reach the database: %w", err)
		}
		log.InfoContext(ctx, "waiting for the database", "error", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("the database did not answer: %w", errors.Join(ctx.Err(), err))
		case <-time.After(time.Second):
		}
	}
	locker, err := lock.NewMySQLTableLocker(lock.WithTableLockTimeout(time.Second, 300),
		lock.WithTableUnlockTimeout(time.Second, 10))
	if err != nil {
		return fmt.Errorf("prepare the migration lock: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, pool, migrations,
		goose.WithLocker(locker), goose.WithSlog(log), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, r := range results {
		log.InfoContext(ctx, "migrated", "file", r.Source.Path, "seconds", r.Duration.Seconds())
	}
	return nil
}
