// Package mysql implements the provisioning of a stack's schemas and accounts on a MySQL or
// MariaDB server. It compares the observed with the desired state and changes only the
// difference, so nothing is written to a server that is already in the desired state.
//
// Grants are compared as sets. Missing privileges are granted before surplus privileges are
// revoked, so an account never loses a privilege that it should keep. Names and passwords
// are quoted by the driver or by identifier, never formatted into a statement.
package mysql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/operator/internal/serverversion"
)

// timeout limits a connection attempt, and each read and write.
const timeout = 10 * time.Second

// Server holds the settings for an administrator's connection to a server.
type Server struct {
	Host     string
	Port     int32
	Username string
	Password string
	// NextPassword is tried if the server refuses Password, unless it is empty: a rotation
	// of the administrator's password may have been interrupted.
	NextPassword string
	// TLS is the TLS setting of the driver: "false", "true" (verified) or
	// "skip-verify".
	TLS string
	// Authorities are the certificate authorities for "true", the system's if nil.
	Authorities *x509.CertPool
	// Dial replaces the default dialer unless it is nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Address returns host:port.
func (s Server) Address() string { return net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))) }

// DSN returns the data source name with which an account connects to a schema. The password
// is not percent-encoded, because passwords that the operator generates need no encoding.
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
	if s.TLS == "true" && s.Authorities != nil {
		config.TLS = &tls.Config{RootCAs: s.Authorities, ServerName: s.Host, MinVersion: tls.VersionTLS12}
	}
	config.Timeout, config.ReadTimeout, config.WriteTimeout = timeout, timeout, timeout
	config.InterpolateParams = true
	config.Logger = &driver.NopLogger{}
	config.DialFunc = s.Dial
	return config
}

// Admin is an administrator's connection to a server. The caller must close it.
type Admin struct {
	server Server
	db     *sql.DB
	// literalPatterns reports whether the server takes underscores in the schema name
	// of a grant literally, instead of as a wildcard.
	literalPatterns bool
}

// Connect opens one connection and detects how the server interprets schema names in
// grants.
func Connect(ctx context.Context, server Server) (*Admin, error) {
	db, err := open(ctx, server.config(server.Username, server.Password))
	if isServerError(err, errAccessDenied) && server.NextPassword != "" {
		db, err = open(ctx, server.config(server.Username, server.NextPassword))
	}
	if err != nil {
		return nil, fmt.Errorf("connect to MySQL at %s as %s: %w", server.Address(), server.Username, err)
	}
	admin := &Admin{server: server, db: db}
	if err := admin.checkVersion(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("MySQL at %s: %w", server.Address(), err), db.Close())
	}
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

// Close closes the connection.
func (a *Admin) Close() error { return a.db.Close() }

func (a *Admin) checkVersion(ctx context.Context) error {
	var observed string
	if err := a.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&observed); err != nil {
		return fmt.Errorf("read the version: %w", err)
	}
	return checkVersion(observed)
}

// checkVersion returns a *serverversion.TooOldError if the server lacks SKIP LOCKED or
// expressions as defaults of columns: MySQL has both since 8.0.13, MariaDB since 10.6.
func checkVersion(observed string) error {
	if strings.Contains(observed, "MariaDB") {
		return serverversion.Check("MariaDB", observed, "10.6.0")
	}
	return serverversion.Check("MySQL", observed, "8.0.13")
}

// partialRevokes reports whether partial_revokes is enabled, which makes MySQL take
// wildcards in grants literally
// (https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html). MariaDB has no such
// variable.
func (a *Admin) partialRevokes(ctx context.Context) (bool, error) {
	var name, value string
	err := a.db.QueryRowContext(ctx, "SHOW GLOBAL VARIABLES LIKE 'partial_revokes'").Scan(&name, &value)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return value == "ON", err
}

// canLogIn reports whether the password is correct. It returns an error if the server
// cannot be reached.
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

// Server error numbers
// (https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html).
const (
	errAccessDenied = 1045
	errNoSuchTable  = 1146
	errNoSuchSchema = 1049
	errLocked       = 3118
	// errLockedMariaDB is the number of the same error in MariaDB
	// (https://mariadb.com/kb/en/mariadb-error-code-reference/).
	errLockedMariaDB = 4151
)

// isLocked reports whether a login failed because the account is locked.
func isLocked(err error) bool {
	return isServerError(err, errLocked) || isServerError(err, errLockedMariaDB)
}

func isServerError(err error, number uint16) bool {
	var server *driver.MySQLError
	return errors.As(err, &server) && server.Number == number
}
