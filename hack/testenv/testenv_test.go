package testenv_test

import (
	"database/sql"
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
