package httpapi

import (
	"encoding/json"
	"maps"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

type entryBody struct {
	ID   int64           `json:"id" doc:"Id of the entry; later entries have larger ones" example:"900"`
	Type string          `json:"type" doc:"Type of the event"`
	At   time.Time       `json:"at" doc:"When the event was recorded"`
	Data json.RawMessage `json:"data" doc:"Data of the event"`
}

func entryOf(e sale.Entry) entryBody {
	return entryBody{ID: e.ID, Type: e.Type, At: e.At, Data: e.Data}
}

// TransformSchema implements huma.SchemaTransformer. The type of an entry decides which data it has,
// so the schema has an alternative for each type.
func (entryBody) TransformSchema(r huma.Registry, s *huma.Schema) *huma.Schema {
	union := &huma.Schema{Discriminator: &huma.Discriminator{PropertyName: "type", Mapping: map[string]string{}}}
	for _, example := range exampleEntries() {
		kind := example.EventType()
		alternative := *s
		alternative.Properties = maps.Clone(s.Properties)
		alternative.Properties["type"] = &huma.Schema{Type: huma.TypeString, Description: s.Properties["type"].Description, Enum: []any{kind}}
		data := r.Schema(reflect.TypeOf(example.Data), true, kind)
		data.Description = s.Properties["data"].Description
		alternative.Properties["data"] = data
		alternative.Examples = []any{toJSON(example)}
		r.Map()[kind+"Entry"] = &alternative
		ref := "#/components/schemas/" + kind + "Entry"
		union.OneOf = append(union.OneOf, &huma.Schema{Ref: ref})
		union.Discriminator.Mapping[kind] = ref
		union.Examples = append(union.Examples, alternative.Examples...)
	}
	return union
}

// exampleEntry is an entry with the data of its event.
type exampleEntry struct {
	ID         int64     `json:"id"`
	Type       string    `json:"type"`
	At         time.Time `json:"at"`
	event.Data `json:"data"`
}

// exampleEntries returns an entry of each type that a timeline can have. The first ones are the
// timeline of a confirmed sale.
func exampleEntries() []exampleEntry {
	ordered, items := pendingSale().CreatedAt, []event.Item{{ProductID: 7, Quantity: 2}}
	data := []event.Data{
		event.SaleCreated{SaleID: 42, CustomerID: 5, Items: items},
		event.SaleItemsReservedResponse{SaleID: 42, CustomerID: 5, ItemsReserved: []event.PricedItem{
			{ProductID: 7, Quantity: 2, Price: decimal.RequireFromString("19.99")}}},
		event.SaleConfirmed{SaleID: 42, Items: items},
		event.StockReleased{SaleID: 42, Items: items, ReleasedAt: ordered.Add(2 * time.Second)},
		event.SaleCreationFailed{SaleID: 42, CustomerID: 5, Reason: event.ReasonInsufficientStock,
			Shortages: []event.Shortage{{ProductID: 7, Requested: 2, Available: 1}}},
		event.SaleCanceled{SaleID: 42, Reason: event.ReasonExpired},
		event.StockCanceled{SaleID: 42, Items: items},
	}
	entries := make([]exampleEntry, len(data))
	for i, d := range data {
		entries[i] = exampleEntry{ID: 898 + int64(i), Type: d.EventType(), At: ordered.Add(time.Second), Data: d}
	}
	return entries
}

// confirmedTimeline returns the timeline of a confirmed sale.
func confirmedTimeline() any {
	const length = 4
	return toJSON(map[string]any{"items": exampleEntries()[:length]})
}
