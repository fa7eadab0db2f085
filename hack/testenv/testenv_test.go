package testenv_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv"
)

func TestSchemasAreSeparate(t *testing.T) {
	t.Parallel()
	for range 2 {
		db, err := sql.Open("mysql", testenv.Schema(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := db.Exec("CREATE TABLE same (id INT PRIMARY KEY)"); err != nil {
			t.Errorf("a schema is not empty: %v", err)
		}
	}
}

func TestVirtualHostsAreSeparate(t *testing.T) {
	t.Parallel()
	for range 2 {
		conn, err := amqp.Dial(testenv.Broker(t).URL())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ch.QueueDeclare("same", true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
			t.Error(err)
		} else if q.Messages != 0 {
			t.Errorf("a virtual host is not empty: %d messages", q.Messages)
		}
		if err := ch.Publish("", "same", false, false, amqp.Publishing{Body: []byte("x")}); err != nil {
			t.Error(err)
		}
	}
}

// TestKilledMySQLRestartsWithItsData also checks that the address and the password stay the same.
func TestKilledMySQLRestartsWithItsData(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a server; not part of a -short run")
	}
	s, err := testenv.StartMySQL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	db, err := sql.Open("mysql", s.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if _, err := db.Exec("CREATE DATABASE durable"); err != nil {
		t.Fatal(err)
	}
	first := s.PID
	if s.HasEnded() {
		t.Error("the running server has ended")
	}
	s.Kill()
	if err := db.Ping(); err == nil || !s.HasEnded() {
		t.Errorf("the killed server responds (%v), ended: %t", err, s.HasEnded())
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("USE durable"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if s.PID == first {
		t.Error("the process ID did not change")
	}
}

func TestKilledRabbitMQRestartsWithItsData(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs a server; not part of a -short run")
	}
	s, err := testenv.StartRabbitMQ(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	declare := func(passive bool) error {
		conn, err := amqp.Dial(s.Info.URL())
		if err != nil {
			return err
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		queue := ch.QueueDeclare
		if passive {
			queue = ch.QueueDeclarePassive
		}
		_, err = queue("durable", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		return err
	}
	if err := declare(false); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	if err := declare(true); err == nil {
		t.Error("the killed broker responds")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the queue exists after a restart", func() bool { return declare(true) == nil })
	if err := s.Control(t.Context(), "status", "--silent"); err != nil {
		t.Error(err)
	}
	if err := s.Control(t.Context(), "no_such_command"); err == nil {
		t.Error("an unknown command of rabbitmqctl succeeded")
	}
}

// TestMYSQLDSelectsTheServer uses scripts instead of servers, which print their arguments and end.
func TestMYSQLDSelectsTheServer(t *testing.T) { //nolint:paralleltest // It sets a variable of the environment.
	for name, c := range map[string]struct {
		version string
		want    []string // in the error
	}{
		"MySQL":   {"mysqld  Ver 9.7.4", []string{"started with", "--mysqlx=OFF", "--skip-log-bin", "--port="}},
		"MariaDB": {"mysqld  Ver 11.8.2-MariaDB", []string{testenv.ProgramVariable, "is MariaDB", "hack/cluster mysqld"}},
	} {
		program := filepath.Join(t.TempDir(), "mysqld")
		script := `#!/bin/sh
case "$*" in
*--version*) echo "` + c.version + `" ;;
*--initialize-insecure*) for a; do case $a in --datadir=*) mkdir "${a#--datadir=}" ;; esac; done ;;
*) echo "started with $*" >&2; exit 1 ;;
esac
`
		if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
		t.Setenv(testenv.ProgramVariable, program)
		s, err := testenv.StartMySQL(t.Context())
		if err == nil {
			s.Stop()
			t.Fatalf("%s: no error", name)
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q in it", name, err, want)
			}
		}
	}
	t.Setenv(testenv.ProgramVariable, filepath.Join(t.TempDir(), "missing"))
	if _, err := testenv.StartMySQL(t.Context()); err == nil || !strings.Contains(err.Error(), testenv.ProgramVariable) {
		t.Errorf("a missing program: error %v, want the name of the variable", err)
	}
}

func TestUnknownClustersAreNamed(t *testing.T) { //nolint:paralleltest // It sets a variable of the environment.
	t.Setenv(testenv.ClusterVariable, "two")
	_, _, err := testenv.StartDatabase(t.Context())
	if err == nil || !strings.Contains(err.Error(), testenv.ClusterVariable) || !strings.Contains(err.Error(), "galera, galera-all or group") {
		t.Errorf("error %v, want the name of the variable and its values", err)
	}
}
