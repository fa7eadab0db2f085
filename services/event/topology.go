package event

import (
	"regexp"
	"strings"
)

// Names of the broker's objects. Each stack has its own virtual host, so the names are
// the same for all stacks.
const (
	// Exchange is the topic exchange to which every event is published. The routing key
	// is the name of the event.
	Exchange = "ecommerce.events"
	// DeadLetterExchange is the direct exchange for messages that a consumer rejected.
	// The routing key is the name of the queue from which the message was rejected.
	DeadLetterExchange = "ecommerce.dead-letters"

	// StockQueue is the queue of the events that sales publishes and stock consumes.
	StockQueue = "stock.sale-events"
	// SalesQueue is the queue of the events that stock publishes and sales consumes.
	SalesQueue = "sales.stock-events"
	// DeadLetterSuffix ends the name of a dead-letter queue, from which sales stores the
	// messages in its database.
	DeadLetterSuffix = ".dead"
	// RedriveExchange is the direct exchange through which a manager sends dead letters
	// back to their queue. The routing key is the name of the queue.
	RedriveExchange = "ecommerce.redrive"
	// GatewayQueuePrefix begins the name of the exclusive, auto-deleted queue that each
	// gateway replica declares.
	GatewayQueuePrefix = "gateway."
)

// DeliveryLimit is the number of times a quorum queue redelivers an unacknowledged
// message before it dead-letters it. Consumers retry without returning the message while
// a dependency is down, so that only crashes and lost connections count. These count for
// every message that a consumer had prefetched, so the limit is far above the number of
// restarts that is expected.
const DeliveryLimit = 100

// Queue is a durable quorum queue with the names of the events that are routed to it.
type Queue struct {
	Name   string
	Events []string
}

// DeadLetterQueue returns the name of the queue for messages that were rejected from q.
func (q Queue) DeadLetterQueue() string { return q.Name + DeadLetterSuffix }

// Arguments returns the arguments with which the queue is declared. They cannot be changed
// without deleting the queue, so all that may change is in its policy. The type can only be an
// argument. Where rejected messages go is an argument, too, because they would be dropped while a
// policy is missing.
func (q Queue) Arguments() map[string]any {
	return map[string]any{
		"x-queue-type":              "quorum",
		"x-dead-letter-exchange":    DeadLetterExchange,
		"x-dead-letter-routing-key": q.Name,
	}
}

// DeadLetterArguments returns the arguments with which the dead-letter queue of q is
// declared.
func (q Queue) DeadLetterArguments() map[string]any {
	return map[string]any{"x-queue-type": "quorum"}
}

// FormerArguments returns the arguments with which earlier releases declared the queue. A queue
// with them remains: they take precedence over the policy, except that the lower delivery limit
// applies.
func (q Queue) FormerArguments() map[string]any {
	arguments := q.Arguments()
	arguments["x-delivery-limit"] = int64(100)
	arguments["x-dead-letter-strategy"] = "at-least-once"
	arguments["x-overflow"] = "reject-publish"
	return arguments
}

// FormerDeadLetterArguments returns the FormerArguments of the dead-letter queue of q.
func (q Queue) FormerDeadLetterArguments() map[string]any {
	return map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(1_000_000_000)}
}

// deadLetterDeliveryLimit is the delivery limit of a dead-letter queue. Without a limit,
// RabbitMQ 4 drops a message after 20 deliveries
// (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling), and a dead letter
// would be lost.
const deadLetterDeliveryLimit = 1_000_000_000

// Policy holds the settings of a queue that can be changed while it has messages
// (https://www.rabbitmq.com/docs/policies).
type Policy struct {
	// Name is that of the policy and of the queue, and Pattern matches only that.
	Name, Pattern string
	Definition    map[string]any
}

// Policies returns the policies of the queue and of its dead-letter queue. Quorum queues support
// at-least-once dead-lettering only together with overflow reject-publish.
func (q Queue) Policies() []Policy {
	return []Policy{
		{q.Name, matchExactly(q.Name), map[string]any{
			"delivery-limit": int64(DeliveryLimit), "dead-letter-strategy": "at-least-once", "overflow": "reject-publish",
		}},
		{q.DeadLetterQueue(), matchExactly(q.DeadLetterQueue()), map[string]any{"delivery-limit": int64(deadLetterDeliveryLimit)}},
	}
}

// Arguments adds the settings to the arguments of a queue, for brokers that are used without
// policies, as by tests.
func (p Policy) Arguments(arguments map[string]any) map[string]any {
	for key, value := range p.Definition {
		arguments["x-"+key] = value
	}
	return arguments
}

// Queues are the durable queues of a stack.
var Queues = []Queue{
	{Name: StockQueue, Events: []string{SaleCreatedType, SaleConfirmedType, SaleCanceledType}},
	{Name: SalesQueue, Events: []string{
		SaleItemsReservedResponseType, SaleCreationFailedType, StockReleasedType, StockCanceledType,
	}},
}

// Exchanges maps the names of the exchanges of a stack, all durable, to their types.
var Exchanges = map[string]string{Exchange: "topic", DeadLetterExchange: "direct", RedriveExchange: "direct"}

// Binding routes messages that are published to an exchange with a routing key to a
// queue.
type Binding struct{ Exchange, Queue, Key string }

// Bindings returns the bindings of q and of its dead-letter queue.
func (q Queue) Bindings() []Binding {
	bindings := []Binding{{DeadLetterExchange, q.DeadLetterQueue(), q.Name}, {RedriveExchange, q.Name, q.Name}}
	for _, name := range q.Events {
		bindings = append(bindings, Binding{Exchange, q.Name, name})
	}
	return bindings
}

// IsRouted reports whether a durable queue receives events of this type. Such an event is
// published with the mandatory flag, and counts as not published when the broker returns
// it. ProductChanged is only routed to the gateways that are connected, possibly none.
func IsRouted(eventType string) bool {
	for _, q := range Queues {
		for _, name := range q.Events {
			if name == eventType {
				return true
			}
		}
	}
	return false
}

// Permission holds the permissions of a service's broker account: regular expressions
// for the names of objects, and for the routing keys that it may use on Exchange.
type Permission struct {
	Configure, Write, Read string
	TopicWrite, TopicRead  string
}

const matchNone = "^$"

// Permissions maps services to the least permissions that they need. sales also consumes
// both dead-letter queues, and redrives messages. auth has no account.
var Permissions = map[string]Permission{
	"sales": {
		Configure: matchNone, Write: matchExactly(Exchange, RedriveExchange),
		Read:       matchExactly(SalesQueue, SalesQueue+DeadLetterSuffix, StockQueue+DeadLetterSuffix),
		TopicWrite: matchExactly(SaleCreatedType, SaleConfirmedType, SaleCanceledType), TopicRead: matchNone,
	},
	"stock": {
		Configure: matchNone, Write: matchExactly(Exchange), Read: matchExactly(StockQueue),
		TopicWrite: matchExactly(SaleItemsReservedResponseType, SaleCreationFailedType, StockReleasedType,
			StockCanceledType, ProductChangedType), TopicRead: matchNone,
	},
	"gateway": {
		Configure: `^gateway\.`, Write: `^gateway\.`, Read: `^(gateway\..*|ecommerce\.events)$`,
		TopicWrite: matchNone, TopicRead: matchExactly(ProductChangedType),
	},
}

// ConsumerPrefix begins the names of the queues of consumers outside of the store, and in the name of
// their broker accounts it follows the virtual host: the account shop.demo.consumer.reports has the
// queues consumer.reports.*.
const ConsumerPrefix = "consumer."

// consumerName is the form of the name of a consumer: it is used in regular expressions.
var consumerName = regexp.MustCompile(`^[a-z0-9-]+$`)

// ConsumerPermission returns the permissions of the account of a consumer outside of the store: it declares
// queues of its own, binds them to Exchange, and publishes nothing. Its administrator chooses the keys
// that it may bind. ok is false unless the name has only small letters, digits and hyphens.
func ConsumerPermission(name string) (p Permission, ok bool) {
	if !consumerName.MatchString(name) {
		return Permission{}, false
	}
	queues := strings.ReplaceAll(ConsumerPrefix+name+".", ".", `\.`)
	return Permission{
		Configure: "^" + queues, Write: "^" + queues,
		Read:       "^(" + queues + ".*|" + strings.ReplaceAll(Exchange, ".", `\.`) + ")$",
		TopicWrite: matchNone,
	}, true
}

func matchExactly(names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strings.ReplaceAll(n, ".", `\.`)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}
