// Package database opens MySQL the way every service needs it: UTC times, READ
// COMMITTED, strict mode, bounded waits, transactions that are repeated when the
// server chose them as a deadlock's victim, and errors in three classes.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Pool bounds of a service. The total over all replicas must stay below the
// server's max_connections.
const (
	maxOpen     = 20
	maxIdle     = 10
	maxLifetime = 10 * time.Minute
)

// Waits for the server, so that no request hangs on a dead connection. The lock
// wait is in seconds, as the server takes it.
const (
	dialTimeout  = 3 * time.Second
	queryTimeout = 15 * time.Second
	lockWait     = 5
)

// sessionSettings are made by statement, because MySQL and MariaDB disagree on
// the variable's name.
const sessionSettings = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

// Open prepares a pool for dsn; it does not connect, so a service starts while
// its database is still away.
func Open(dsn string) (*gorm.DB, error) {
	pool, err := openPool(dsn, queryTimeout)
	if err != nil {
		return nil, err
	}
	db, err := gorm.Open(gormmysql.New(gormmysql.Config{Conn: pool, SkipInitializeWithVersion: true}), &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		TranslateError:         true,
		NowFunc:                Now,
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return db, nil
}

// Now is the time as the database keeps it: UTC, in microseconds.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// openPool prepares a pool whose statements may take up to timeout.
func openPool(dsn string, timeout time.Duration) (*sql.DB, error) {
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		// The driver's message may quote the DSN, and with it the password.
		return nil, fmt.Errorf("MYSQL_DSN is not of the form user:password@tcp(host:port)/schema")
	}
	config.ParseTime, config.Loc, config.InterpolateParams = true, time.UTC, true
	config.Timeout, config.ReadTimeout, config.WriteTimeout = dialTimeout, timeout, timeout
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	config.Params["time_zone"] = "'+00:00'"
	config.Params["sql_mode"] = "'TRADITIONAL,NO_ENGINE_SUBSTITUTION'"
	config.Params["innodb_lock_wait_timeout"] = fmt.Sprint(lockWait)
	config.Logger = &mysqldriver.NopLogger{}
	inner, err := mysqldriver.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	pool := sql.OpenDB(connector{inner, timeout})
	pool.SetMaxOpenConns(maxOpen)
	pool.SetMaxIdleConns(maxIdle)
	pool.SetConnMaxLifetime(maxLifetime)
	return pool, nil
}

// connector makes the session settings on every new connection.
type connector struct {
	driver.Connector
	// timeout of a statement, after which the server ends it, too: one that nobody waits
	// for any more would go on.
	timeout time.Duration
}

// unknownVariable is the server's error for a variable of the other kind of server.
const unknownVariable = 1193

// Connect dials and prepares one connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	execer := conn.(driver.ExecerContext)
	_, err = execer.ExecContext(ctx, sessionSettings, nil)
	if err == nil {
		err = c.limitStatements(ctx, execer)
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// limitStatements sets MariaDB's bound in seconds, or MySQL's, which is for SELECT
// alone, in milliseconds.
func (c connector) limitStatements(ctx context.Context, conn driver.ExecerContext) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION max_statement_time = %g", c.timeout.Seconds()), nil)
	if number(err) == unknownVariable {
		_, err = conn.ExecContext(ctx, fmt.Sprintf("SET SESSION max_execution_time = %d", c.timeout.Milliseconds()), nil)
	}
	return err
}

// Ping says whether the database answers.
func Ping(ctx context.Context, db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.PingContext(ctx)
}

// Close ends the pool.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// Binary is the value of a BINARY column in a statement of one's own, where gorm
// would take a plain []byte for a list of numbers.
type Binary []byte

// Value implements driver.Valuer.
func (b Binary) Value() (driver.Value, error) { return []byte(b), nil }

// JSON is the value of a JSON column: text for the server, which refuses binary
// strings there; nil is NULL.
type JSON []byte

// Value implements driver.Valuer.
func (j JSON) Value() (driver.Value, error) {
	if j == nil {
		return nil, nil
	}
	return string(j), nil
}

// Scan implements sql.Scanner.
func (j *JSON) Scan(v any) error {
	switch v := v.(type) {
	case nil:
		*j = nil
	case []byte:
		*j = append(JSON(nil), v...)
	case string:
		*j = JSON(v)
	default:
		return fmt.Errorf("scan a JSON column from %T", v)
	}
	return nil
}
