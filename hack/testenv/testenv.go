// Package testenv starts servers for tests, `make dev` and the benchmarks: a private
// MariaDB and a private RabbitMQ from the installed packages, in temporary
// directories on free loopback ports. MYSQLD selects MySQL instead of MariaDB, and DATABASE_CLUSTER a
// cluster of three nodes.
//
// A test process starts each server once, when a test needs it, and every test has
// a separate schema or virtual host, so that tests can run in parallel. The servers
// end with the process. MYSQL_DSN (of an administrator, without a schema), and
// AMQP_URL with AMQP_MANAGEMENT_URL, select existing servers; cmd/with-servers starts
// both for a whole command.
package testenv

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

// Environment variables that select existing servers.
const (
	MySQLVariable      = "MYSQL_DSN"
	AMQPVariable       = "AMQP_URL"
	ManagementVariable = "AMQP_MANAGEMENT_URL"
)

var mysqlServer = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(MySQLVariable); dsn != "" {
		return dsn, nil
	}
	dsn, _, err := StartDatabase(context.Background())
	return dsn, err
})

// ClusterVariable is the environment variable that makes StartDatabase start a cluster of one of the names of
// StartCluster.
const ClusterVariable = "DATABASE_CLUSTER"

// StartDatabase starts a server or a cluster, and returns the DSN of its administrator, without a schema.
func StartDatabase(ctx context.Context) (dsn string, stop func(), err error) {
	name := os.Getenv(ClusterVariable)
	if name == "" {
		s, err := StartMySQL(ctx)
		if err != nil {
			return "", nil, err
		}
		return s.DSN, s.Stop, nil
	}
	flags := []string{"--innodb-flush-log-at-trx-commit=0"}
	if name != clusterOfMySQL {
		flags = append(flags, "--wsrep-sync-wait=7")
	}
	c, b, err := StartCluster(ctx, name, flags...)
	if err != nil {
		return "", nil, fmt.Errorf("%s: %w", ClusterVariable, err)
	}
	return b.DSN, func() { b.Stop(); c.Stop() }, nil
}

var rabbitServer = sync.OnceValues(func() (BrokerInfo, error) {
	if address := os.Getenv(AMQPVariable); address != "" {
		return parseBroker(address, os.Getenv(ManagementVariable))
	}
	s, err := StartRabbitMQ(context.Background())
	if err != nil {
		return BrokerInfo{}, err
	}
	return s.Info, nil
})

func parseBroker(address, management string) (BrokerInfo, error) {
	u, err := url.Parse(address)
	if err != nil || u.User == nil || management == "" {
		return BrokerInfo{}, fmt.Errorf("parse %s: it must be amqp://user:password@host:port/, and %s must be the URL of the management API",
			AMQPVariable, ManagementVariable)
	}
	port := 5672
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return BrokerInfo{}, fmt.Errorf("parse the parse the port in %s: %w", AMQPVariable, err)
		}
	}
	password, _ := u.User.Password()
	return BrokerInfo{Host: u.Hostname(), Port: port, ManagementURL: management,
		Username: u.User.Username(), Password: password, VHost: "/"}, nil
}

// MySQL returns the administrator's DSN of the server that the tests of this process
// share, without a schema.
func MySQL(t testing.TB) string {
	t.Helper()
	skipIfShort(t)
	dsn, err := mysqlServer()
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Schema creates an empty schema and returns its DSN. The schema is dropped when the
// test ends.
func Schema(t testing.TB) string {
	t.Helper()
	config, err := mysql.ParseDSN(MySQL(t))
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + unique()
	execute := func(statement string) {
		db, err := sql.Open("mysql", config.FormatDSN())
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Errorf("%s: %v", statement, err)
		}
	}
	execute("CREATE DATABASE " + name + " CHARACTER SET utf8mb4")
	t.Cleanup(func() { execute("DROP DATABASE " + name) })
	with := config.Clone()
	with.DBName = name
	return with.FormatDSN()
}

// Broker creates an empty virtual host and returns it. It is deleted when the test
// ends.
func Broker(t testing.TB) BrokerInfo {
	t.Helper()
	skipIfShort(t)
	info, err := rabbitServer()
	if err != nil {
		t.Fatal(err)
	}
	client, err := info.Management()
	if err != nil {
		t.Fatal(err)
	}
	info.VHost = "test-" + unique()
	call := func(what string, do func() error) {
		if err := do(); err != nil {
			t.Errorf("%s virtual host %s: %v", what, info.VHost, err)
		}
	}
	call("create", func() error {
		res, err := client.PutVhost(info.VHost, rabbithole.VhostSettings{})
		if err == nil {
			err = res.Body.Close()
		}
		return err
	})
	call("set the permissions of", func() error {
		res, err := client.UpdatePermissionsIn(info.VHost, info.Username,
			rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"})
		if err == nil {
			err = res.Body.Close()
		}
		return err
	})
	t.Cleanup(func() {
		call("delete", func() error {
			res, err := client.DeleteVhost(info.VHost)
			if err == nil {
				err = res.Body.Close()
			}
			return err
		})
	})
	return info
}

// skipIfShort skips the test in a run with -short, which starts no servers.
func skipIfShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server; not part of a -short run")
	}
}

func unique() string { return strings.ToLower(rand.Text()[:12]) }
