// Package httpapi is the REST contract of the stock service: the catalogue for
// everyone, its upkeep and the inventory for managers.
package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/stock/internal/catalogue"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Inventory is what this room needs of the store beside the catalogue.
type Inventory interface {
	ByHand(ctx context.Context, kind inventory.Kind, productID, quantity, actorID int64) (inventory.Stock, error)
	Stock(ctx context.Context, productID int64) (inventory.Stock, error)
	Movements(ctx context.Context, productID, after int64, limit int) ([]inventory.Movement, error)
	Audit(ctx context.Context) (inventory.Report, error)
}

// API holds what the operations need.
type API struct {
	Catalogue catalogue.Store
	Inventory Inventory
	Currency  string
}

// Register adds every operation to api.
func (a *API) Register(api huma.API) {
	a.registerProducts(api)
	a.registerStock(api)
	openapi.Describe(api, manual)
}

// public is an operation for anyone, managers one for managers.
func public(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Public(operation(method, path, id, summary, errors))
}

func managers(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(operation(method, path, id, summary, errors), authn.Manager)
}

func operation(method, path, id, summary string, errors []int) huma.Operation {
	return huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{strings.Split(path, "/")[1]},
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}

// actor is the manager who calls.
func actor(ctx context.Context) int64 {
	p, _ := authn.FromContext(ctx)
	return p.UserID
}
