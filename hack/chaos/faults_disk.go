package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sys/unix"
)

// spaceFlags put all tables into one file, which fillDisk can fill. The log file of MariaDB, whose size
// is fixed, must be smaller than minFileSize.
var spaceFlags = []string{"--innodb-file-per-table=OFF", "--innodb-autoextend-increment=1", "--loose-innodb-log-file-size=48M"}

// minFileSize is above the size of every file of the server but that of the tables.
const minFileSize = 64 << 20

// Error numbers of a full disk: https://dev.mysql.com/doc/mysql-errors/en/server-error-reference.html
const (
	storageError = 1030
	tableFull    = 1114
)

// fillDisk leaves the database without space for a new page: the kernel refuses to extend its files,
// and a table takes the space inside them. MariaDB ends itself when it has no space to roll back a
// transaction.
func fillDisk(ctx context.Context, r *round, _ fault) (func(context.Context) error, error) {
	size, err := r.tablesSize(ctx)
	if err != nil {
		return nil, err
	}
	for _, statement := range []string{"CREATE DATABASE IF NOT EXISTS chaos", "CREATE TABLE chaos.filler (content LONGBLOB)"} {
		if _, err := r.db.ExecContext(ctx, statement); err != nil {
			return nil, err
		}
	}
	limit := max(size, minFileSize)
	err = limitFileSize(r.store.MySQL.PID, uint64(limit))
	if err == nil {
		err = r.fill(ctx, limit)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fill the disk: %w", err), r.freeDisk(context.WithoutCancel(ctx)))
	}
	return r.freeDisk, nil
}

// fill takes the space inside the file of the tables, whose size cannot exceed limit.
func (r *round) fill(ctx context.Context, limit int64) error {
	var taken int64
	for _, size := range []int64{4 << 20, 256 << 10, 7 << 10} {
		var err error
		for err == nil {
			if taken += size; taken > 2*limit {
				return fmt.Errorf("the database accepts more than %d bytes in a file that is limited to %d", taken-size, limit)
			}
			_, err = r.db.ExecContext(ctx, fmt.Sprintf("INSERT INTO chaos.filler VALUES (REPEAT('x', %d))", size))
		}
		for !isDiskFull(err) {
			if r.store.MySQL.HasEnded() {
				return nil
			}
			if !sleep(ctx, pollInterval) || r.db.PingContext(ctx) == nil {
				return err
			}
		}
	}
	return nil
}

// freeDisk ends fillDisk. It starts a server again that has ended itself.
func (r *round) freeDisk(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxRepair)
	defer cancel()
	if err := limitFileSize(r.store.MySQL.PID, unix.RLIM_INFINITY); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for {
		if r.store.MySQL.HasEnded() {
			r.note(errors.New("the database has ended itself without space"))
			if err := r.store.MySQL.Restart(ctx); err != nil {
				return err
			}
		}
		_, err := r.db.ExecContext(ctx, "DROP TABLE IF EXISTS chaos.filler")
		if err == nil || !sleep(ctx, pollInterval) {
			return err
		}
	}
}

// tablesSize returns the size of the file with the tables.
func (r *round) tablesSize(ctx context.Context) (int64, error) {
	var folder string
	if err := r.db.QueryRowContext(ctx, "SELECT @@datadir").Scan(&folder); err != nil {
		return 0, err
	}
	file, err := os.Stat(filepath.Join(folder, "ibdata1"))
	if err != nil {
		return 0, err
	}
	return file.Size(), nil
}

// limitFileSize limits the size to which a process can extend files. Writes below the limit go on. The
// process must ignore SIGXFSZ, which it inherits from startStore.
func limitFileSize(pid int, limit uint64) error {
	var current unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &current); err != nil {
		return fmt.Errorf("read the limit of file sizes: %w", err)
	}
	current.Cur = min(limit, current.Max)
	if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &current, nil); err != nil {
		return fmt.Errorf("limit the size of files: %w", err)
	}
	return nil
}

// isDiskFull reports whether a statement failed for lack of space.
func isDiskFull(err error) bool {
	failed, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && (failed.Number == tableFull || failed.Number == storageError)
}
