package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/pressly/goose/v3"
)

// MySQL commits before and after each DDL statement, so a migration that is interrupted has
// executed some of its statements. The table migration_statements records them: one whose row is
// not finished may have been executed or not.
const createStatements = "CREATE TABLE IF NOT EXISTS migration_statements (version BIGINT NOT NULL, statement INT NOT NULL, " +
	"finished BOOLEAN NOT NULL, PRIMARY KEY (version, statement)) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"

// doneErrors are the errors of a DDL statement that was executed before.
var doneErrors = []uint16{
	1050, // table exists
	1051, // unknown table
	1054, // unknown column, which is renamed
	1060, // duplicate column
	1061, // duplicate key
	1091, // column, key or constraint does not exist
	1826, // duplicate constraint (MariaDB)
	3822, // duplicate check constraint
	3940, // constraint does not exist
}

// readMigrations returns the migrations in the SQL files of a folder. The name of a file begins
// with its version. The statements are those between "-- +goose Up" and "-- +goose Down"; each
// ends with a semicolon at the end of a line.
func readMigrations(folder fs.FS) ([]*goose.Migration, error) {
	files, err := fs.Glob(folder, "*.sql")
	if err != nil {
		return nil, fmt.Errorf("list the migrations: %w", err)
	}
	migrations := make([]*goose.Migration, len(files))
	for i, file := range files {
		number, _, _ := strings.Cut(file, "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("migration %s: its name does not begin with a version: %w", file, err)
		}
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", file, err)
		}
		statements, err := splitStatements(string(text))
		if err != nil {
			return nil, fmt.Errorf("migration %s: %w", file, err)
		}
		migrations[i] = goose.NewGoMigration(version, &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
			return runStatements(ctx, db, version, statements)
		}}, nil)
	}
	return migrations, nil
}

func splitStatements(text string) ([]string, error) {
	_, text, found := strings.Cut(text, "-- +goose Up\n")
	if !found {
		return nil, errors.New("no line \"-- +goose Up\"")
	}
	text, _, _ = strings.Cut(text, "-- +goose Down\n")
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(strings.TrimSpace(line), "--") })
	statements := strings.SplitAfter(strings.Join(lines, "\n"), ";\n")
	for i, s := range statements {
		statements[i] = strings.TrimSuffix(strings.TrimSpace(s), ";")
	}
	statements = slices.DeleteFunc(statements, func(s string) bool { return s == "" })
	if len(statements) == 0 {
		return nil, errors.New("no statement")
	}
	return statements, nil
}

// runStatements executes the statements of a migration that are not finished.
func runStatements(ctx context.Context, db *sql.DB, version int64, statements []string) error {
	for i, statement := range statements {
		if err := runStatement(ctx, db, version, i+1, statement); err != nil {
			return fmt.Errorf("statement %d: %w", i+1, err)
		}
	}
	return nil
}

// runStatement executes a statement. When it may have been executed by a migration that was
// interrupted, its error tells.
func runStatement(ctx context.Context, db *sql.DB, version int64, number int, statement string) error {
	res, err := db.ExecContext(ctx, "INSERT IGNORE INTO migration_statements VALUES (?, ?, FALSE)", version, number)
	if err != nil {
		return fmt.Errorf("record its start: %w", err)
	}
	started, err := res.RowsAffected()
	if err != nil {
		return fmt.Errorf("record its start: %w", err)
	}
	if started == 0 {
		var finished bool
		if err := db.QueryRowContext(ctx, "SELECT finished FROM migration_statements WHERE version = ? AND statement = ?", version, number).
			Scan(&finished); err != nil {
			return fmt.Errorf("read its record: %w", err)
		}
		if finished {
			return nil
		}
	}
	if _, err := db.ExecContext(ctx, statement); err != nil && (started == 1 || !slices.Contains(doneErrors, errorNumber(err))) {
		return err
	}
	if _, err := db.ExecContext(ctx, "UPDATE migration_statements SET finished = TRUE WHERE version = ? AND statement = ?", version, number); err != nil {
		return fmt.Errorf("record its end: %w", err)
	}
	return nil
}

// prepareStatements creates the table of statements. In a schema of a release that did not have
// it, the statements of the next migration may have been executed.
func prepareStatements(ctx context.Context, db *sql.DB, migrations []*goose.Migration) error {
	version, err := currentVersion(ctx, db)
	if err != nil {
		return err
	}
	recorded, err := hasTable(ctx, db, "migration_statements")
	if err != nil || recorded {
		return err
	}
	// The table and its rows are created together, so that an interruption leaves neither.
	rows := " SELECT 0 AS version, 0 AS statement, TRUE AS finished"
	for _, m := range migrations {
		if version > 0 && m.Version == version+1 {
			for statement := range maxStatements {
				rows += fmt.Sprintf(" UNION ALL SELECT %d, %d, FALSE", m.Version, statement+1)
			}
		}
	}
	if _, err := db.ExecContext(ctx, createStatements+rows); err != nil {
		return fmt.Errorf("create the records of statements: %w", err)
	}
	return nil
}

func hasTable(ctx context.Context, db *sql.DB, name string) (bool, error) {
	var n int
	err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", name).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("find the table %s: %w", name, err)
	}
	return n > 0, nil
}

// currentVersion returns the version of the schema, 0 for a new one. goose inserts the version 0
// after it has created its table, and does not start when it was interrupted between these.
func currentVersion(ctx context.Context, db *sql.DB) (int64, error) {
	exists, err := hasTable(ctx, db, "goose_db_version")
	if err != nil || !exists {
		return 0, err
	}
	_, err = db.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) SELECT 0, TRUE FROM DUAL "+
		"WHERE NOT EXISTS (SELECT 1 FROM goose_db_version)")
	if err != nil {
		return 0, fmt.Errorf("insert the version 0: %w", err)
	}
	var version int64
	if err := db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read the version: %w", err)
	}
	return version, nil
}

// maxStatements is above the number of statements of a migration.
const maxStatements = 20
