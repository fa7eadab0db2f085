// Package httpapi implements the REST API of the stock service: the public catalog, and
// the administration of products and inventory by managers.
package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/stock/internal/catalog"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// Inventory stores quantities and movements. All methods return a *failure.Error of kind
// KindUnavailable while the database is unavailable.
type Inventory interface {
	// MoveManual makes a movement for a manager and returns the new quantities; for a repeat of r
	// those after the first request, and true. It returns inventory.ErrUnknownProduct,
	// inventory.ErrInsufficientStock, inventory.ErrInsufficientReserved and
	// idempotency.ErrKeyReused.
	MoveManual(ctx context.Context, m inventory.Movement, r idempotency.Request) (inventory.Stock, bool, error)
	// Stock returns the quantities of a product. It returns inventory.ErrUnknownProduct.
	Stock(ctx context.Context, productID int64) (inventory.Stock, error)
	// Movements returns up to limit movements of a product with ids above after, the oldest
	// first. It returns inventory.ErrUnknownProduct.
	Movements(ctx context.Context, productID, after int64, limit int) ([]inventory.Movement, error)
	// Audit compares the quantities of all products with the ledger.
	Audit(ctx context.Context) (inventory.Report, error)
}

// API holds the dependencies of the operations.
type API struct {
	Catalog   catalog.Store
	Inventory Inventory
	Currency  string
}

// Register adds every operation to api.
func (a *API) Register(api huma.API) {
	a.registerProducts(api)
	a.registerStock(api)
	openapi.Describe(api, manual)
}

// publicOperation returns an operation that anyone may call.
func publicOperation(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Public(operation(method, path, id, summary, errors))
}

// managerOperation returns an operation that only managers may call.
func managerOperation(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(operation(method, path, id, summary, errors), authn.Manager)
}

func operation(method, path, id, summary string, errors []int) huma.Operation {
	return huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{strings.Split(path, "/")[1]},
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}
}

// callerID returns the id of the authenticated user.
func callerID(ctx context.Context) int64 {
	p, _ := authn.FromContext(ctx)
	return p.UserID
}
