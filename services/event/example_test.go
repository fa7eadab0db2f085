package event_test

import (
	"encoding/json"
	"fmt"
	"time"

	"ecommerce-stack.dev/services/event"
)

// A publisher wraps the data of an event, and a consumer reads it again.
func Example() {
	created := event.SaleCreated{SaleID: 42, CustomerID: 5, Items: []event.Item{{ProductID: 7, Quantity: 2}}}
	sent, err := event.New("sales", created, time.Now(), "")
	if err != nil {
		panic(err)
	}
	body, err := json.Marshal(sent)
	if err != nil {
		panic(err)
	}

	received, err := event.Parse(body)
	if err != nil {
		panic(err)
	}
	data, err := event.Decode[event.SaleCreated](received)
	if err != nil {
		panic(err)
	}
	fmt.Println(received.Type, received.Subject, data.Items)
	// Output: SaleCreated 42 [{7 2}]
}

func ExampleQueue_Bindings() {
	stock := event.Queue{Name: event.StockQueue, Events: []string{event.SaleCreatedType}}
	for _, b := range stock.Bindings() {
		fmt.Printf("%s --%s--> %s\n", b.Exchange, b.Key, b.Queue)
	}
	// Output:
	// ecommerce.dead-letters --stock.sale-events--> stock.sale-events.dead
	// ecommerce.redrive --stock.sale-events--> stock.sale-events
	// ecommerce.events --SaleCreated--> stock.sale-events
}
