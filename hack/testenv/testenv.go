// Package testenv gives tests, `make dev` and the bench real servers: a private
// MariaDB and a private RabbitMQ from the installed packages, in temporary
// directories on free loopback ports.
//
// A test process starts each server once, when first asked, and every test gets a
// schema or a virtual host of its own, so tests run in parallel. The servers die
// with the process. MYSQL_DSN (an administrator's, without a schema), and
// AMQP_URL with AMQP_MANAGEMENT_URL, point to servers that run already;
// cmd/with-servers starts both for a whole command.
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

// Variables that point to servers that run already.
const (
	MySQLVariable      = "MYSQL_DSN"
	AMQPVariable       = "AMQP_URL"
	ManagementVariable = "AMQP_MANAGEMENT_URL"
)

var mysqlServer = sync.OnceValues(func() (string, error) {
	if dsn := os.Getenv(MySQLVariable); dsn != "" {
		return dsn, nil
	}
	s, err := StartMySQL(context.Background())
	if err != nil {
		return "", err
	}
	return s.DSN, nil
})

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
		return BrokerInfo{}, fmt.Errorf("%s must be amqp://user:password@host:port/, and %s the address of its management API",
			AMQPVariable, ManagementVariable)
	}
	port := 5672
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil {
			return BrokerInfo{}, fmt.Errorf("port in %s: %w", AMQPVariable, err)
		}
	}
	password, _ := u.User.Password()
	return BrokerInfo{Host: u.Hostname(), Port: port, ManagementURL: management,
		Username: u.User.Username(), Password: password, VHost: "/"}, nil
}

// MySQL returns the administrator's DSN of a server, without a schema. Tests of
// one process share the server.
func MySQL(t testing.TB) string {
	t.Helper()
	needServers(t)
	dsn, err := mysqlServer()
	if err != nil {
		t.Fatal(err)
	}
	return dsn
}

// Schema returns the DSN of a fresh, empty schema, dropped when the test ends.
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

// Broker returns a fresh, empty virtual host, deleted when the test ends.
func Broker(t testing.TB) BrokerInfo {
	t.Helper()
	needServers(t)
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
	call("make", func() error {
		res, err := client.PutVhost(info.VHost, rabbithole.VhostSettings{})
		if err == nil {
			err = res.Body.Close()
		}
		return err
	})
	call("permit", func() error {
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

// needServers skips a test of a quick run (`go test -short`), which starts none.
func needServers(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a server; not part of a -short run")
	}
}

func unique() string { return strings.ToLower(rand.Text()[:12]) }
