package rabbitmq_test

import (
	"errors"
	"strings"
	"testing"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/operator/internal/ownership"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
	"ecommerce-stack.dev/services/event"
)

// TestUsersAreDeniedEverythingElse lists what each user must not be able to do.
func TestUsersAreDeniedEverythingElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	type operation struct {
		name string
		try  func(*amqp091.Channel) error
	}
	declare := func(name string) operation {
		return operation{"declare queue " + name, func(c *amqp091.Channel) error {
			_, err := c.QueueDeclare(name, true, false, false, false, nil)
			return err
		}}
	}
	remove := func(queue string) operation {
		return operation{"delete queue " + queue, func(c *amqp091.Channel) error { _, err := c.QueueDelete(queue, false, false, false); return err }}
	}
	get := func(queue string) operation {
		return operation{"read queue " + queue, func(c *amqp091.Channel) error { _, _, err := c.Get(queue, true); return err }}
	}
	purge := func(queue string) operation {
		return operation{"purge queue " + queue, func(c *amqp091.Channel) error { _, err := c.QueuePurge(queue, false); return err }}
	}
	publish := func(exchange, key string) operation {
		return operation{"publish " + key + " to " + exchange, func(c *amqp091.Channel) error {
			if err := c.Confirm(false); err != nil {
				return err
			}
			closed := c.NotifyClose(make(chan *amqp091.Error, 1))
			confirmation, err := c.PublishWithDeferredConfirm(exchange, key, false, false, amqp091.Publishing{Body: []byte("{}")})
			if err != nil {
				return err
			}
			select {
			case refused := <-closed:
				return refused
			case <-confirmation.Done():
				return nil
			}
		}}
	}
	bind := func(queue, key string) operation {
		return operation{"bind queue " + queue + " to " + key, func(c *amqp091.Channel) error { return c.QueueBind(queue, key, event.Exchange, false, nil) }}
	}
	everyone := []operation{
		declare("intruder"), declare("amq.rabbitmq.trace"), remove(event.SalesQueue), remove(event.StockQueue), bind(event.StockQueue, "#"),
		{"declare an exchange", func(c *amqp091.Channel) error {
			return c.ExchangeDeclare("intruder", "fanout", true, false, false, false, nil)
		}},
		{"delete the exchange", func(c *amqp091.Channel) error { return c.ExchangeDelete(event.Exchange, false, false) }},
		publish("", event.StockQueue), // The default exchange reaches every queue by its name.
	}
	denied := [][]operation{
		{get(event.SalesQueue), get(event.StockQueue), get(event.StockQueue + event.DeadLetterSuffix), publish(event.Exchange, event.SaleCreatedType), purge(event.SalesQueue)},
		{get(event.StockQueue), purge(event.StockQueue), publish(event.Exchange, event.StockReleasedType), publish(event.Exchange, event.ProductChangedType)},
		{get(event.SalesQueue), get(event.StockQueue + event.DeadLetterSuffix), publish(event.Exchange, event.SaleCreatedType), publish(event.RedriveExchange, event.SalesQueue)},
	}
	for i, user := range f.vhost.Users {
		for _, operation := range append(denied[i], everyone...) {
			var refused *amqp091.Error
			if err := operation.try(f.channel(t, user, f.vhost.Name)); !errors.As(err, &refused) || refused.Code != amqp091.AccessRefused {
				t.Errorf("%s as %s: error %v, want that access is refused", operation.name, user.Name, err)
			}
		}
		f.checkDeniedElsewhere(t, user)
	}
}

// channel opens a channel that is closed at the end of the test. A refusal closes it before.
func (f *fixture) channel(t *testing.T, user rabbitmq.User, vhost string) *amqp091.Channel {
	t.Helper()
	connection, err := dial(t, user, vhost)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	channel, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

func dial(t *testing.T, user rabbitmq.User, vhost string) (*amqp091.Connection, error) {
	t.Helper()
	info := testenv.Broker(t)
	info.Username, info.Password, info.VHost = user.Name, user.Password, vhost
	return amqp091.Dial(info.URL())
}

// checkDeniedElsewhere checks that a user has no access to another virtual host and to the
// management API.
func (f *fixture) checkDeniedElsewhere(t *testing.T, user rabbitmq.User) {
	t.Helper()
	if connection, err := dial(t, user, "/"); err == nil {
		t.Errorf("%s connected to another virtual host", user.Name)
		_ = connection.Close()
	}
	client, err := rabbithole.NewClient(testenv.Broker(t).ManagementURL, user.Name, user.Password)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = client.Whoami(); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("%s at the management API: error %v, want that access is denied", user.Name, err)
	}
}
