package saga

import (
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"

	"ecommerce-stack.dev/services/event"
)

// Declare declares the exchange and the quorum queues of a stack in the virtual host of a
// URL, as the operator does, and a queue with the same settings for Broker.
func Declare(url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return fmt.Errorf("connect to the broker: %w", err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.ExchangeDeclare(event.Exchange, amqp.ExchangeTopic, true, false, false, false, nil); err != nil {
		return fmt.Errorf("declare the exchange: %w", err)
	}
	for _, q := range event.Queues {
		if _, err := ch.QueueDeclare(q.Name, true, false, false, false, q.Arguments()); err != nil {
			return fmt.Errorf("declare %s: %w", q.Name, err)
		}
		for _, name := range q.Events {
			if err := ch.QueueBind(q.Name, name, event.Exchange, false, nil); err != nil {
				return fmt.Errorf("bind %s: %w", q.Name, err)
			}
		}
	}
	_, err = ch.QueueDeclare(roundTrips, true, false, false, false, event.Queue{Name: roundTrips}.Arguments())
	return err
}

// roundTrips is the queue of Broker.
const roundTrips = "bench.round-trips"

// properties returns the AMQP properties that the services set.
func properties(m Message) amqp.Publishing {
	return amqp.Publishing{
		ContentType: event.ContentType, DeliveryMode: amqp.Persistent, MessageId: m.ID.String(), Type: m.Type,
		CorrelationId: m.Subject, Timestamp: m.At, Body: m.Body,
		Headers: amqp.Table{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
	}
}
