package httpapi

import (
	"time"

	"ecommerce-stack.dev/services/internal/money"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

type saleBody struct {
	ID          int64          `json:"id" doc:"Id of the sale" example:"42"`
	CustomerID  int64          `json:"customerId" doc:"Client who placed the order" example:"5"`
	Status      string         `json:"status" enum:"Pending,Confirmed,Canceled,Unauthorized" doc:"Pending until the sale is decided; Unauthorized: rejected by stock" example:"Confirmed"`
	Hold        bool           `json:"hold" doc:"Whether the sale stays Pending until it is confirmed" example:"false"`
	Reason      string         `json:"reason,omitempty" enum:"insufficient_stock,unknown_product,customer,expired" example:"insufficient_stock" doc:"Why the sale was canceled or rejected"`
	Shortages   []shortageBody `json:"shortages,omitempty" doc:"Products of which too few were available"`
	Items       []itemBody     `json:"items" doc:"Lines of the order, one per product"`
	TotalAmount *money.Amount  `json:"totalAmount,omitempty" doc:"Sum of the lines, set when stock reserves" example:"39.98"`
	Currency    string         `json:"currency" doc:"Currency of the stack (ISO 4217)" example:"USD"`
	CreatedAt   time.Time      `json:"createdAt" doc:"When the order was placed"`
	UpdatedAt   time.Time      `json:"updatedAt" doc:"When the sale last changed"`
	ExpiresAt   *time.Time     `json:"expiresAt,omitempty" doc:"When a hold expires and is canceled"`
}

type itemBody struct {
	ProductID int64         `json:"productId" doc:"Id of the product" example:"7"`
	Quantity  int64         `json:"quantity" doc:"Quantity of the product" example:"2"`
	UnitPrice *money.Amount `json:"unitPrice,omitempty" doc:"Unit price, set when stock reserves" example:"19.99"`
}

type shortageBody struct {
	ProductID int64 `json:"productId" doc:"Id of the product" example:"7"`
	Requested int64 `json:"requested" doc:"Quantity that was ordered" example:"2"`
	Available int64 `json:"available" doc:"Quantity that was available" example:"1"`
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
