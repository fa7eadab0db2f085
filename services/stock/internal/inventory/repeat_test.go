package inventory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// again applies a repeated command of sale 42 in a later UnitOfWork, in which prices and
// quantities differ.
func again(t *testing.T, u *inventory.UnitOfWork, action inventory.Action) event.Data {
	t.Helper()
	c := u.Changes()
	later := inventory.Begin(now.Add(1), []inventory.Stock{{ProductID: 1, Available: 1000}, {ProductID: 2}},
		map[int64]inventory.Offer{1: {Price: price("99"), InCatalog: true}, 2: {Price: price("5"), InCatalog: true}}, append(c.Inserted, c.Updated...))
	command := inventory.Command{Action: action, SaleID: 42, CustomerID: 5, Lines: []inventory.Line{{ProductID: 1, Quantity: 2}}}
	if redelivered, err := later.Apply(command); redelivered != nil || err != nil {
		t.Errorf("a redelivered command published %v, error %v, want neither", redelivered, err)
	}
	command.Repeated = true
	response, err := later.Apply(command)
	if err != nil {
		t.Fatal(err)
	}
	if c := later.Changes(); len(c.Stocks)+len(c.Inserted)+len(c.Updated)+len(c.Movements) != 0 {
		t.Errorf("a repeated command changed %+v", c)
	}
	return response
}

func TestRepeatedCommandGetsTheFirstResponse(t *testing.T) {
	t.Parallel()
	reserveTwo := func(t *testing.T, u *inventory.UnitOfWork) event.Data {
		return reserve(t, u, event.Item{ProductID: 1, Quantity: 2})
	}
	for name, c := range map[string]struct {
		act    func(t *testing.T, u *inventory.UnitOfWork) (event.Data, error)
		action inventory.Action
	}{
		"reserved": {func(t *testing.T, u *inventory.UnitOfWork) (event.Data, error) { return reserveTwo(t, u), nil }, inventory.ActionReserve},
		"rejected": {func(t *testing.T, u *inventory.UnitOfWork) (event.Data, error) {
			return reserve(t, u, event.Item{ProductID: 1, Quantity: 11}, event.Item{ProductID: 9, Quantity: 1}), nil
		}, inventory.ActionReserve},
		"removed": {func(t *testing.T, u *inventory.UnitOfWork) (event.Data, error) {
			reserveTwo(t, u)
			return u.Remove(42)
		}, inventory.ActionRemove},
		"released": {func(t *testing.T, u *inventory.UnitOfWork) (event.Data, error) {
			reserveTwo(t, u)
			return u.Release(42)
		}, inventory.ActionRelease},
		"rejected and released": {func(t *testing.T, u *inventory.UnitOfWork) (event.Data, error) {
			reserve(t, u, event.Item{ProductID: 1, Quantity: 11})
			return u.Release(42)
		}, inventory.ActionRelease},
		"released before its creation": {func(_ *testing.T, u *inventory.UnitOfWork) (event.Data, error) { return u.Release(42) }, inventory.ActionRelease},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := open(10)
			first, err := c.act(t, u)
			if err != nil || first == nil {
				t.Fatalf("first response %v, error %v", first, err)
			}
			if diff := cmp.Diff(first, again(t, u, c.action)); diff != "" {
				t.Errorf("response to the repeated command (-first +again):\n%s", diff)
			}
		})
	}
}

func TestRepeatedCommandOfEarlierStatusGetsNoResponse(t *testing.T) {
	t.Parallel()
	u := open(10)
	reserve(t, u, event.Item{ProductID: 1, Quantity: 2})
	if _, err := u.Remove(42); err != nil {
		t.Fatal(err)
	}
	if response := again(t, u, inventory.ActionReserve); response != nil {
		t.Errorf("a sale whose goods are removed was reserved again: %v", response)
	}
}

// TestReservationWithoutPriceIsAnsweredWithThatOfTheCatalog is about rows of releases that
// did not store prices.
func TestReservationWithoutPriceIsAnsweredWithThatOfTheCatalog(t *testing.T) {
	t.Parallel()
	u := open(10, newReservation(2))
	response, err := u.Apply(inventory.Command{Action: inventory.ActionReserve, SaleID: 42, CustomerID: 5, Repeated: true,
		Lines: []inventory.Line{{ProductID: 1, Quantity: 2}}})
	want := event.SaleItemsReservedResponse{SaleID: 42, CustomerID: 5, ItemsReserved: []event.PricedItem{{ProductID: 1, Quantity: 2, Price: price("19.99")}}}
	if diff := cmp.Diff(event.Data(want), response); diff != "" || err != nil {
		t.Errorf("error %v, response (-want +got):\n%s", err, diff)
	}
}
