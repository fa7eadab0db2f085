package httpapi

import (
	"encoding/json"
	"time"

	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

type saleBody struct {
	ID          int64          `json:"id" doc:"Id of the sale" example:"42"`
	CustomerID  int64          `json:"customerId" doc:"The client who ordered" example:"5"`
	Status      string         `json:"status" enum:"Pending,Confirmed,Canceled,Unauthorized" doc:"Pending until it is decided; Unauthorized: refused by stock" example:"Confirmed"`
	Hold        bool           `json:"hold" doc:"Whether the sale waits for its confirmation" example:"false"`
	Reason      string         `json:"reason,omitempty" example:"insufficient_stock" doc:"Why it was canceled or refused"`
	Shortages   []shortageBody `json:"shortages,omitempty" doc:"The products that fell short"`
	Items       []itemBody     `json:"items" doc:"What was ordered, one line a product"`
	TotalAmount *money.Amount  `json:"totalAmount,omitempty" doc:"Sum of the lines, once stock has set the prices" example:"39.98"`
	Currency    string         `json:"currency" doc:"The stack's currency (ISO 4217)" example:"USD"`
	CreatedAt   time.Time      `json:"createdAt" doc:"When it was ordered"`
	UpdatedAt   time.Time      `json:"updatedAt" doc:"When it last changed"`
	ExpiresAt   *time.Time     `json:"expiresAt,omitempty" doc:"When a held sale is canceled by itself"`
}

type itemBody struct {
	ProductID int64         `json:"productId" doc:"The product" example:"7"`
	Quantity  int64         `json:"quantity" doc:"How many of it" example:"2"`
	UnitPrice *money.Amount `json:"unitPrice,omitempty" doc:"Price of one, set when stock reserves" example:"19.99"`
}

type shortageBody struct {
	ProductID int64 `json:"productId" doc:"The product" example:"7"`
	Requested int64 `json:"requested" doc:"How many were ordered" example:"2"`
	Available int64 `json:"available" doc:"How many there were" example:"1"`
}

func bodyOf(s sale.Sale) saleBody {
	b := saleBody{ID: s.ID, CustomerID: s.CustomerID, Status: string(s.Status), Hold: s.Hold, Reason: s.Reason,
		Items: make([]itemBody, len(s.Items)), TotalAmount: s.Total, Currency: s.Currency,
		CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, ExpiresAt: s.ExpiresAt}
	for i, it := range s.Items {
		b.Items[i] = itemBody(it)
	}
	for _, short := range s.Shortages {
		b.Shortages = append(b.Shortages, shortageBody(short))
	}
	return b
}

type entryBody struct {
	ID   int64           `json:"id" doc:"Id of the entry; later entries have larger ones" example:"900"`
	Type string          `json:"type" doc:"The event that happened" example:"SaleConfirmed"`
	At   time.Time       `json:"at" doc:"When it happened"`
	Data json.RawMessage `json:"data" doc:"The event's data" example:"{\"saleId\":42,\"items\":[{\"productId\":7,\"quantity\":2}]}"`
}

func entryOf(e sale.Entry) entryBody {
	return entryBody{ID: e.ID, Type: e.Type, At: e.At, Data: e.Data}
}
