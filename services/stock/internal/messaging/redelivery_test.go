package messaging_test

import (
	"testing"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/sagatest"
)

// histories returns the events of one sale that stock receives, for a product of which it
// has 5.
func histories(product int64) map[string][]sagatest.Step {
	created := func(quantity int64) sagatest.Step {
		return sagatest.Step{Event: event.SaleCreated{SaleID: 1, CustomerID: 5, Items: []event.Item{{ProductID: product, Quantity: quantity}}}}
	}
	confirmed := sagatest.Step{Event: event.SaleConfirmed{SaleID: 1, Items: []event.Item{{ProductID: product, Quantity: 2}}}, After: []int{0}}
	canceled := sagatest.Step{Event: event.SaleCanceled{SaleID: 1, Reason: event.ReasonCustomer}}
	return map[string][]sagatest.Step{
		"reserved":              {created(2)},
		"rejected":              {created(9)},
		"confirmed":             {created(2), confirmed},
		"canceled":              {created(2), canceled},
		"rejected and canceled": {created(9), canceled},
	}
}

// sagaService returns the service with a product, of which it has 5.
func sagaService(t *testing.T) (sagatest.Service, int64) {
	t.Helper()
	w := open(t)
	product := w.product(t, 5)
	return sagatest.Service{DB: w.db, Handler: w.handler, Tables: []string{"reservations", "stocks", "movements"}, Reset: func(t *testing.T) {
		t.Helper()
		for _, statement := range []string{"DELETE FROM reservations", "DELETE FROM movements WHERE sale_id IS NOT NULL", "DELETE FROM outbox",
			"UPDATE stocks SET available = 5, reserved_sales = 0, removed = 0"} {
			if err := w.db.Exec(statement).Error; err != nil {
				t.Fatal(err)
			}
		}
	}}, product
}

func TestRedeliveredEventsHaveOneEffect(t *testing.T) {
	t.Parallel()
	for name := range histories(0) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, product := sagaService(t)
			s.CheckSerial(t, histories(product)[name])
		})
	}
}

func TestEventsRedeliveredToReplicasHaveOneEffect(t *testing.T) {
	t.Parallel()
	for name := range histories(0) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, product := sagaService(t)
			s.CheckConcurrent(t, histories(product)[name])
		})
	}
}
