package testenv_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
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

func TestDataOfOpenedServersIsThereAfterARestart(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	t.Parallel()
	dir := t.TempDir()
	for start := range 2 {
		s, err := testenv.OpenMySQL(t.Context(), filepath.Join(dir, "mysql"))
		if err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("mysql", s.DSN)
		if err != nil {
			t.Fatal(err)
		}
		if start == 0 {
			_, err = db.Exec("CREATE DATABASE stored")
		} else {
			_, err = db.Exec("USE stored")
		}
		if err != nil {
			t.Errorf("start %d: %v", start, err)
		}
		_ = db.Close()
		s.Stop()
	}
	for start := range 2 {
		s, err := testenv.OpenRabbitMQ(t.Context(), filepath.Join(dir, "rabbitmq"))
		if err != nil {
			t.Fatal(err)
		}
		client, err := s.Info.Management()
		if err != nil {
			t.Fatal(err)
		}
		if start == 0 {
			res, err := client.PutVhost("stored", rabbithole.VhostSettings{})
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
		} else if _, err := client.GetVhost("stored"); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		s.Stop()
	}
}
