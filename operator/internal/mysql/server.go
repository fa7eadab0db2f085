// Package mysql makes and heals the schemas and accounts of a stack on a MySQL or
// MariaDB server: it observes, compares, and changes only the difference, so that
// nothing is written to a server that is as it should be.
//
// Grants are compared as sets, and what is missing is granted before what is too much
// is revoked. Names and passwords reach the server as quoted by the driver or by
// identifier, never formatted into a statement.
package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	driver "github.com/go-sql-driver/mysql"
)

// timeout of a connection attempt, and of a single read or write.
const timeout = 10 * time.Second

// Server says how to reach a server as its administrator.
type Server struct {
	Host     string
	Port     int32
	Username string
	Password string
	// TLS is the driver's setting: "false", "true" (verified), "skip-verify".
	TLS string
	// Dial replaces the network's own dialer when set.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Address is host:port.
func (s Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// DSN of an account's connections to a schema. The password is never percent-encoded:
// the ones the operator makes need no encoding.
func (s Server) DSN(username, password, schema string) string {
	dsn := username + ":" + password + "@tcp(" + s.Address() + ")/" + schema
	if s.TLS != "" && s.TLS != "false" {
		dsn += "?tls=" + s.TLS
	}
	return dsn
}

func (s Server) config(username, password string) *driver.Config {
	config := driver.NewConfig()
	config.Net, config.Addr = "tcp", s.Address()
	config.User, config.Passwd = username, password
	config.TLSConfig = s.TLS
	config.Timeout, config.ReadTimeout, config.WriteTimeout = timeout, timeout, timeout
	config.InterpolateParams = true
	config.Logger = &driver.NopLogger{}
	config.DialFunc = s.Dial
	return config
}

// Admin is an administrator's connection. Close it.
type Admin struct {
	server Server
	db     *sql.DB
	// literalPatterns: underscores in the schema of a grant mean themselves.
	literalPatterns bool
}

// Connect opens one connection and looks at how the server reads grants.
func Connect(ctx context.Context, server Server) (*Admin, error) {
	db, err := open(ctx, server.config(server.Username, server.Password))
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL at %s as %s: %w", server.Address(), server.Username, err)
	}
	admin := &Admin{server: server, db: db}
	if admin.literalPatterns, err = admin.partialRevokes(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read partial_revokes: %w", err), db.Close())
	}
	return admin, nil
}

func open(ctx context.Context, config *driver.Config) (*sql.DB, error) {
	connector, err := driver.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close ends the connection.
func (a *Admin) Close() error { return a.db.Close() }

// partialRevokes: with it MySQL takes wildcards in grants literally
// (https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html). MariaDB does not know it.
func (a *Admin) partialRevokes(ctx context.Context) (bool, error) {
	var name, value string
	err := a.db.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'partial_revokes'").Scan(&name, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return value == "ON", err
}

// canLogIn tells a wrong password from a server that cannot be asked.
func (a *Admin) canLogIn(ctx context.Context, username, password string) (bool, error) {
	db, err := open(ctx, a.server.config(username, password))
	if isServerError(err, errAccessDenied) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("try the password of %s: %w", username, err)
	}
	return true, db.Close()
}

// Server error numbers (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html).
const (
	errAccessDenied = 1045
	errNoSuchTable  = 1146
	errNoSuchSchema = 1049
)

func isServerError(err error, number uint16) bool {
	var server *driver.MySQLError
	return errors.As(err, &server) && server.Number == number
}
