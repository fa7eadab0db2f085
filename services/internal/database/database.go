// Package database implements what the services share of their access to MySQL:
// connection pools with UTC times, READ COMMITTED, strict mode and timeouts,
// transactions that are retried after a deadlock, the classification of errors, and
// migrations.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Limits of the connection pool of a replica. The sum over all replicas must stay below
// the server's max_connections.
const (
	maxOpen     = 20
	maxIdle     = 10
	maxLifetime = 10 * time.Minute
)

// Timeouts, so that no request waits for a broken connection. lockWait is
// innodb_lock_wait_timeout, in seconds: the time by which a locked row may delay work that
// does not need it. It is the minimum of MySQL.
const (
	dialTimeout  = 3 * time.Second
	queryTimeout = 15 * time.Second
	lockWait     = 1
)

// sessionSettings is a statement and not a parameter of the DSN, because the name of the
// variable differs between MySQL and MariaDB.
const sessionSettings = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

// Open returns a connection pool for dsn. It does not connect, so that a service can
// start before its database. It returns an error for a malformed dsn, without the
// password.
func Open(dsn string) (*gorm.DB, error) {
	pool, err := openPool(dsn, queryTimeout, lockWait)
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

// openPool returns a connection pool whose statements time out after timeout, and whose lock
// waits after a number of seconds.
func openPool(dsn string, timeout time.Duration, lockWait int) (*sql.DB, error) {
	config, err := mysqldriver.ParseDSN(dsn)
	if err != nil {
		// The message of the driver may contain the DSN, and with it the password.
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
	// A client that vanishes without a packet, as with its node, keeps its locks until the
	// server ends the session: after this time without a statement, also in a transaction.
	for _, variable := range []string{"wait_timeout", "net_read_timeout", "net_write_timeout"} {
		config.Params[variable] = fmt.Sprint(int(math.Ceil(timeout.Seconds())))
	}
	config.Logger = &mysqldriver.NopLogger{}
	inner, err := mysqldriver.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	pool := openDB(connector{inner, timeout}, config.DBName)
	pool.SetMaxOpenConns(maxOpen)
	pool.SetMaxIdleConns(maxIdle)
	pool.SetConnMaxLifetime(maxLifetime)
	pool.SetConnMaxIdleTime(timeout / 2) // before the server ends the session
	return pool, nil
}

// connector applies the session settings to every new connection.
type connector struct {
	driver.Connector
	// timeout is the statement timeout at the server. Without it a statement would continue
	// to run after its client timed out.
	timeout time.Duration
}

// unknownVariable is the error for a system variable that the server does not have.
const unknownVariable = 1193

// Connect implements driver.Connector.
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
	if err == nil {
		err = readClock(ctx, conn.(driver.QueryerContext))
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// limitStatements sets the statement timeout: max_statement_time of MariaDB, in seconds,
// or max_execution_time of MySQL, in milliseconds, which applies to SELECT only.
func (c connector) limitStatements(ctx context.Context, conn driver.ExecerContext) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("SET SESSION max_statement_time = %g", c.timeout.Seconds()), nil)
	if errorNumber(err) == unknownVariable {
		_, err = conn.ExecContext(ctx, fmt.Sprintf("SET SESSION max_execution_time = %d", c.timeout.Milliseconds()), nil)
	}
	return err
}

// Ping returns an error when the database cannot be reached.
func Ping(ctx context.Context, db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.PingContext(ctx)
}

// Close closes the connection pool.
func Close(db *gorm.DB) error {
	pool, err := db.DB()
	if err != nil {
		return err
	}
	return pool.Close()
}

// Binary is the value of a BINARY column. In raw statements gorm would expand a []byte
// to a list of numbers.
type Binary []byte

// Value implements driver.Valuer.
func (b Binary) Value() (driver.Value, error) { return []byte(b), nil }

// JSON is the value of a JSON column. It is sent as text, because MySQL does not accept
// binary strings for JSON. Nil is NULL.
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
