package httpapi

import (
	"encoding/json"
	"time"

	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

type saleBody struct {
	ID          int64          `json:"id" example:"42"`
	CustomerID  int64          `json:"customerId" example:"5"`
	Status      string         `json:"status" enum:"Pending,Confirmed,Canceled,Unauthorized"`
	Hold        bool           `json:"hold" doc:"Whether the sale waits for its confirmation"`
	Reason      string         `json:"reason,omitempty" example:"insufficient_stock" doc:"Why it was canceled or refused"`
	Shortages   []shortageBody `json:"shortages,omitempty" doc:"The products that fell short"`
	Items       []itemBody     `json:"items"`
	TotalAmount *money.Amount  `json:"totalAmount,omitempty"`
	Currency    string         `json:"currency" example:"USD"`
	CreatedAt   time.Time      `json:"createdAt"`
	UpdatedAt   time.Time      `json:"updatedAt"`
	ExpiresAt   *time.Time     `json:"expiresAt,omitempty" doc:"When a held sale is canceled by itself"`
}

type itemBody struct {
	ProductID int64         `json:"productId" example:"7"`
	Quantity  int64         `json:"quantity" example:"2"`
	UnitPrice *money.Amount `json:"unitPrice,omitempty"`
}

type shortageBody struct {
	ProductID int64 `json:"productId" example:"7"`
	Requested int64 `json:"requested" example:"2"`
	Available int64 `json:"available" example:"1"`
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
	ID   int64           `json:"id" example:"900"`
	Type string          `json:"type" example:"SaleConfirmed"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data" doc:"The event's data"`
}

func entryOf(e sale.Entry) entryBody {
	return entryBody{ID: e.ID, Type: e.Type, At: e.At, Data: e.Data}
}
