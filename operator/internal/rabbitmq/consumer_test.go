package rabbitmq_test

import (
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
	amqp091 "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/operator/internal/ownership"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
	"ecommerce-stack.dev/services/event"
)

// consumer creates the account of a consumer outside of the store as docs/events.md says, which may bind
// SaleConfirmed.
func (f *fixture) consumer(t *testing.T) rabbitmq.User {
	t.Helper()
	user := rabbitmq.User{Name: f.vhost.Name + ".consumer.reports", Password: rand.Text()}
	if err := errors.Join(
		closeBody(f.root.PutUser(user.Name, rabbithole.UserSettings{Name: user.Name, Password: user.Password})),
		closeBody(f.root.UpdatePermissionsIn(f.vhost.Name, user.Name, rabbithole.Permissions{
			Configure: `^consumer\.reports\.`, Write: `^consumer\.reports\.`, Read: `^(consumer\.reports\..*|ecommerce\.events)$`})),
		closeBody(f.root.UpdateTopicPermissionsIn(f.vhost.Name, user.Name, rabbithole.TopicPermissions{
			Exchange: event.Exchange, Write: "^$", Read: "^SaleConfirmed$"})),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closeBody(f.root.DeleteUser(user.Name)) })
	return user
}

func TestConsumerOfOthersReceivesItsEventsAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	user := f.consumer(t)
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Fatalf("the permissions of a consumer were changed: %q", changes)
	}
	const queue = "consumer.reports.confirmed"
	c := f.channel(t, user, f.vhost.Name)
	if _, err := c.QueueDeclare(queue, true, false, false, false, amqp091.Table{"x-queue-type": "quorum", "x-max-length": 100_000}); err != nil {
		t.Fatal(err)
	}
	if err := c.QueueBind(queue, event.SaleConfirmedType, event.Exchange, false, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := c.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	sales := f.channel(t, f.vhost.Users[1], f.vhost.Name)
	if err := sales.Publish(event.Exchange, event.SaleConfirmedType, false, false, amqp091.Publishing{Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	select {
	case d := <-deliveries:
		if err := d.Ack(false); err != nil || d.RoutingKey != event.SaleConfirmedType {
			t.Errorf("received %s, %v", d.RoutingKey, err)
		}
	case <-t.Context().Done():
		t.Fatal("nothing was received")
	}
	if changes := f.ensure(t, ownership.Never); len(changes) > 0 {
		t.Errorf("the queue of a consumer was changed: %q", changes)
	}
	for name, try := range map[string]func(*amqp091.Channel) error{
		"bind another event": func(c *amqp091.Channel) error {
			return c.QueueBind(queue, event.SaleCreatedType, event.Exchange, false, nil)
		},
		"bind all events":       func(c *amqp091.Channel) error { return c.QueueBind(queue, "#", event.Exchange, false, nil) },
		"bind the dead letters": func(c *amqp091.Channel) error { return c.QueueBind(queue, "x", event.DeadLetterExchange, false, nil) },
		"read a queue of stock": func(c *amqp091.Channel) error { _, _, err := c.Get(event.StockQueue, true); return err },
		"delete a queue of sales": func(c *amqp091.Channel) error {
			_, err := c.QueueDelete(event.SalesQueue, false, false, false)
			return err
		},
		"declare a foreign queue": func(c *amqp091.Channel) error {
			_, err := c.QueueDeclare("consumer.other.q", true, false, false, false, nil)
			return err
		},
		"dead-letter to the store": func(c *amqp091.Channel) error {
			_, err := c.QueueDeclare("consumer.reports.dead", true, false, false, false, amqp091.Table{"x-dead-letter-exchange": event.Exchange})
			return err
		},
	} {
		var refused *amqp091.Error
		if err := try(f.channel(t, user, f.vhost.Name)); !errors.As(err, &refused) || refused.Code != amqp091.AccessRefused {
			t.Errorf("%s: error %v, want that access is refused", name, err)
		}
	}
}

func TestConsumerWithMorePermissionsLosesThem(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	user := f.consumer(t)
	for _, wider := range []rabbithole.Permissions{
		{Configure: ".*", Write: `^consumer\.reports\.`, Read: `^(consumer\.reports\..*|ecommerce\.events)$`},
		{Configure: `^consumer\.reports\.`, Write: ".*", Read: `^(consumer\.reports\..*|ecommerce\.events)$`},
		{Configure: `^consumer\.reports\.`, Write: `^consumer\.reports\.`, Read: ".*"},
	} {
		if err := closeBody(f.root.UpdatePermissionsIn(f.vhost.Name, user.Name, wider)); err != nil {
			t.Fatal(err)
		}
		if changes := f.ensure(t, ownership.Never); !slices.Contains(changes, "clear the permissions of user "+user.Name) {
			t.Errorf("%+v: changes %q", wider, changes)
		}
	}
}
