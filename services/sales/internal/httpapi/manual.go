package httpapi

import (
	_ "embed" // for the text
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/sales/internal/deadletter"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

//go:embed manual.md
var manualText string

// manual is for the teams that call the operations.
var manual = openapi.Manual{
	Text: manualText,
	Refusals: map[string][]error{
		"create-sale":         {idempotency.ErrKeyInUse, idempotency.ErrKeyReused},
		"get-sale":            {sale.ErrNotFound},
		"confirm-sale":        {sale.ErrNotFound, sale.ErrNotPending, sale.ErrNotReserved},
		"cancel-sale":         {sale.ErrNotFound, sale.ErrNotPending},
		"list-sale-events":    {sale.ErrNotFound},
		"stream-sale-events":  {sale.ErrNotFound},
		"redrive-dead-letter": {deadletter.ErrNotFound, deadletter.ErrIncomplete},
		"delete-dead-letter":  {deadletter.ErrNotFound},
	},
	Responses: map[string]map[int]any{
		"create-sale":      {202: saleJSON(pendingSale()), 201: saleJSON(confirmedSale())},
		"list-sale-events": {200: confirmedTimeline()},
		"stream-sale-events": {200: "id: 900\nevent: SaleConfirmed\n" +
			`data: {"id":900,"type":"SaleConfirmed","at":"2026-11-22T10:15:31Z","data":{"saleId":42,"items":[{"productId":7,"quantity":2}]}}` + "\n\n"},
	},
}

// TransformSchema implements huma.SchemaTransformer. It sets complete examples, because the
// examples of the single fields would contradict each other.
func (saleBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Examples = []any{saleJSON(confirmedSale()), saleJSON(rejectedSale()), saleJSON(heldSale())}
	return s
}

// TransformSchema implements huma.SchemaTransformer. It sets an example with a text body.
func (deadLetterBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	died := time.Date(2026, time.November, 22, 10, 15, 30, 0, time.UTC)
	message := []byte(`{"specversion":"1.0","type":"SaleCreated"}`)
	s.Examples = []any{toJSON(deadLetterBodyOf(deadletter.DeadLetter{ID: 3, StoredAt: died.Add(time.Second), Size: int64(len(message)), DeadLetter: event.DeadLetter{
		Queue: "stock.sale-events", Reason: "rejected", MessageID: "0197c0de-0000-7000-8000-000000000001", Type: "SaleCreated",
		Correlation: "42", DiedAt: died, Body: message,
	}}))}
	return s
}

func saleJSON(s sale.Sale) any { return toJSON(bodyOf(s)) }

// toJSON returns v as decoded JSON.
func toJSON(v any) any {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	var body any
	_ = json.Unmarshal(raw, &body) // what Marshal wrote
	return body
}

func pendingSale() sale.Sale {
	ordered := time.Date(2026, time.November, 22, 10, 15, 30, 0, time.UTC)
	return sale.Sale{ID: 42, CustomerID: 5, Status: sale.Pending, Items: []sale.Item{{ProductID: 7, Quantity: 2}},
		Currency: "USD", CreatedAt: ordered, UpdatedAt: ordered}
}

func confirmedSale() sale.Sale {
	price := money.MustParse("19.99")
	total := price.Times(2)
	s := pendingSale()
	s.Status, s.Total, s.Items[0].UnitPrice = sale.Confirmed, &total, &price
	s.UpdatedAt = s.CreatedAt.Add(time.Second)
	return s
}

func rejectedSale() sale.Sale {
	s := pendingSale()
	s.Status, s.Reason = sale.Unauthorized, event.ReasonInsufficientStock
	s.Shortages = []event.Shortage{{ProductID: 7, Requested: 2, Available: 1}}
	s.UpdatedAt = s.CreatedAt.Add(time.Second)
	return s
}

func heldSale() sale.Sale {
	s := confirmedSale()
	expiry := s.CreatedAt.Add(15 * time.Minute)
	s.Status, s.Hold, s.ExpiresAt = sale.Pending, true, &expiry
	return s
}
