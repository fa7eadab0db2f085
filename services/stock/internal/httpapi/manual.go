package httpapi

import (
	_ "embed" // for the text

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/stock/internal/catalog"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

//go:embed manual.md
var manualText string

// manual is for the teams that call the operations.
var manual = openapi.Manual{
	Text: manualText,
	Refusals: map[string][]error{
		"create-product": {idempotency.ErrKeyReused},
		"get-product":    {catalog.ErrNotFound},
		"update-product": {catalog.ErrNotFound, catalog.ErrStale},
		"delete-product": {catalog.ErrNotFound, catalog.ErrStale},
		"get-stock":      {inventory.ErrUnknownProduct},
		"get-available":  {inventory.ErrUnknownProduct},
		"list-movements": {inventory.ErrUnknownProduct},
		"receive-stock":  {inventory.ErrUnknownProduct, idempotency.ErrKeyReused},
		"reserve-stock":  {inventory.ErrUnknownProduct, idempotency.ErrKeyReused, inventory.ErrInsufficientStock.With("available", 3)},
		"release-stock":  {inventory.ErrUnknownProduct, idempotency.ErrKeyReused, inventory.ErrInsufficientReserved.With("reserved", 3)},
		"remove-stock":   {inventory.ErrUnknownProduct, idempotency.ErrKeyReused, inventory.ErrInsufficientReserved.With("reserved", 3)},
	},
	Responses: map[string]map[int]any{
		"audit-stock": {200: map[string]any{"products": 120, "movements": 4311, "violations": []any{}}},
	},
}

// TransformSchema implements huma.SchemaTransformer. It sets examples, because a movement has
// either a sale or a manager.
func (movement) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{
		map[string]any{"id": 101, "kind": "reserved", "quantity": 5, "saleId": 42, "at": "2026-11-22T10:15:30Z"},
		map[string]any{"id": 100, "kind": "received", "quantity": 25, "actorId": 1, "at": "2026-11-22T09:00:00Z"},
	}
	return s
}
