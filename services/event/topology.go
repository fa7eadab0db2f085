package event

import "strings"

// Names of the broker's objects. There is one virtual host per stack, so they are
// the same in each.
const (
	// Exchange is the topic exchange every event is published to; the routing key
	// is the event's name.
	Exchange = "ecommerce.events"
	// DeadLetters is the direct exchange that takes what a consumer refused; the
	// routing key is the name of the queue it was refused from.
	DeadLetters = "ecommerce.dead-letters"

	// StockQueue carries what sales says to stock.
	StockQueue = "stock.sale-events"
	// SalesQueue carries what stock answers.
	SalesQueue = "sales.stock-events"
	// DeadSuffix of the queue that keeps what was refused until sales takes it over.
	DeadSuffix = ".dead"
	// Redrive is the direct exchange by which a manager sends what was refused to its
	// queue again; the routing key is the queue's name.
	Redrive = "ecommerce.redrive"
	// GatewayQueuePrefix begins the name of each gateway's own exclusive,
	// auto-delete queue.
	GatewayQueuePrefix = "gateway."
)

// DeliveryLimit is how often a quorum queue delivers a message that comes back
// unacknowledged, before it is dead-lettered. Consumers retry in place when a
// dependency is down, so only crashes and lost connections count; but these count
// for everything a consumer had fetched, so the limit is far above what a bad day
// of restarts brings.
const DeliveryLimit = 100

// Queue is a durable quorum queue and the events routed to it.
type Queue struct {
	Name   string
	Events []string
}

// Dead is the queue that keeps what was refused from q.
func (q Queue) Dead() string { return q.Name + DeadSuffix }

// Arguments the queue is declared with: dead-lettering at least once, which
// quorum queues offer together with overflow reject-publish.
func (q Queue) Arguments() map[string]any {
	return map[string]any{
		"x-queue-type":              "quorum",
		"x-delivery-limit":          int64(DeliveryLimit),
		"x-dead-letter-exchange":    DeadLetters,
		"x-dead-letter-routing-key": q.Name,
		"x-dead-letter-strategy":    "at-least-once",
		"x-overflow":                "reject-publish",
	}
}

// deadDeliveryLimit of a queue that keeps what was refused. RabbitMQ 4 drops a message
// after 20 deliveries where there is no limit of one's own
// (https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling), and from here it
// would be lost.
const deadDeliveryLimit = 1_000_000_000

// DeadArguments of the queue that keeps what was refused from q.
func (q Queue) DeadArguments() map[string]any {
	return map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(deadDeliveryLimit)}
}

// Queues of a stack.
var Queues = []Queue{
	{Name: StockQueue, Events: []string{SaleCreatedType, SaleConfirmedType, SaleCanceledType}},
	{Name: SalesQueue, Events: []string{
		SaleItemsReservedResponseType, SaleCreationFailedType, StockReleasedType, StockCanceledType,
	}},
}

// Exchanges of a stack, all durable, by name and kind.
var Exchanges = map[string]string{Exchange: "topic", DeadLetters: "direct", Redrive: "direct"}

// Binding brings a queue what is published to an exchange with a key.
type Binding struct{ Exchange, Queue, Key string }

// Bindings of q and of the queue that keeps what was refused from it.
func (q Queue) Bindings() []Binding {
	bindings := []Binding{{DeadLetters, q.Dead(), q.Name}, {Redrive, q.Name, q.Name}}
	for _, name := range q.Events {
		bindings = append(bindings, Binding{Exchange, q.Name, name})
	}
	return bindings
}

// Routed says whether some durable queue must take an event of this type. Such an
// event is published mandatory, and one that comes back was not published.
// ProductChanged goes to whichever gateways listen, possibly none.
func Routed(eventType string) bool {
	for _, q := range Queues {
		for _, name := range q.Events {
			if name == eventType {
				return true
			}
		}
	}
	return false
}

// Permission is what a service's broker account may do: RabbitMQ's regular
// expressions over object names, and over the routing keys it may publish to
// Exchange with.
type Permission struct {
	Configure, Write, Read string
	TopicWrite, TopicRead  string
}

const nothing = "^$"

// Permissions by service: each publishes and consumes what it has to, and nothing
// else. sales also keeps the dead letters of both queues and redrives them. auth has
// no account.
var Permissions = map[string]Permission{
	"sales": {
		Configure: nothing, Write: exactly(Exchange, Redrive),
		Read:       exactly(SalesQueue, SalesQueue+DeadSuffix, StockQueue+DeadSuffix),
		TopicWrite: exactly(SaleCreatedType, SaleConfirmedType, SaleCanceledType), TopicRead: nothing,
	},
	"stock": {
		Configure: nothing, Write: exactly(Exchange), Read: exactly(StockQueue),
		TopicWrite: exactly(SaleItemsReservedResponseType, SaleCreationFailedType, StockReleasedType,
			StockCanceledType, ProductChangedType), TopicRead: nothing,
	},
	"gateway": {
		Configure: `^gateway\.`, Write: `^gateway\.`, Read: `^(gateway\..*|ecommerce\.events)$`,
		TopicWrite: nothing, TopicRead: exactly(ProductChangedType),
	},
}

func exactly(names ...string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = strings.ReplaceAll(n, ".", `\.`)
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}
