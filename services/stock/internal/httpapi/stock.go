package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

type stock struct {
	ProductID         int64     `json:"productId" doc:"Id of the product" example:"7"`
	QuantityAvailable int64     `json:"quantityAvailable" doc:"Quantity that can be sold" example:"20"`
	QuantityReserved  int64     `json:"quantityReserved" example:"3" doc:"Quantity that is reserved for sales and by managers"`
	QuantityRemoved   int64     `json:"quantityRemoved" doc:"Quantity that was removed from the stock" example:"2"`
	UpdatedAt         time.Time `json:"updatedAt" doc:"When a quantity last changed"`
}

func stockOf(s inventory.Stock) stock {
	return stock{ProductID: s.ProductID, QuantityAvailable: s.Available, QuantityReserved: s.Reserved(),
		QuantityRemoved: s.Removed, UpdatedAt: s.UpdatedAt}
}

type available struct {
	ProductID         int64 `json:"productId" doc:"Id of the product" example:"7"`
	QuantityAvailable int64 `json:"quantityAvailable" doc:"Quantity that can be sold" example:"20"`
}

type movement struct {
	ID       int64     `json:"id" doc:"Id of the movement" example:"101"`
	Kind     string    `json:"kind" enum:"received,reserved,released,removed" doc:"received: to available; reserved: available to reserved; released: reserved to available; removed: reserved to removed" example:"reserved"`
	Quantity int64     `json:"quantity" doc:"Quantity that was moved" example:"5"`
	SaleID   int64     `json:"saleId,omitempty" example:"42" doc:"Sale that caused the movement, if any"`
	ActorID  int64     `json:"actorId,omitempty" example:"1" doc:"Manager who made the movement, if any"`
	At       time.Time `json:"at" doc:"When the movement was made"`
}

type audit struct {
	Products   int64       `json:"products" doc:"Number of products that were checked" example:"120"`
	Movements  int64       `json:"movements" doc:"Number of movements that were summed" example:"4311"`
	Violations []violation `json:"violations" doc:"Violations of invariants; at most 1000"`
}

type violation struct {
	ProductID int64  `json:"productId" doc:"Id of the product" example:"7"`
	Rule      string `json:"rule" doc:"Description of the violation" example:"the ledger has movements, but there is no stock row"`
}

// ProductPath is exported because huma ignores embedded types that are not.
type ProductPath struct {
	ProductID int64 `path:"productId" minimum:"1" doc:"Id of the product" example:"7"`
}

// MovePath is exported because huma ignores embedded types that are not.
type MovePath struct {
	ProductPath
	Quantity int64 `path:"quantity" minimum:"1" maximum:"1000000000" doc:"Quantity to move" example:"5"`
}

type moveManual struct {
	MovePath
	idempotency.Header
}

type movedStock struct {
	Replayed string `header:"Idempotent-Replayed" doc:"true if this is the stored response to an earlier request" example:"true"`
	Body     stock
}

type listMovements struct {
	ProductPath
	page.Query
}

type response[T any] struct{ Body T }

// auditTimeout is the timeout of an audit, which reads the whole ledger.
const auditTimeout = 30 * time.Second

func (a *API) registerStock(api huma.API) {
	huma.Register(api, server.Slow(managerOperation(http.MethodGet, "/stock/audit", "audit-stock",
		"Compare the quantities with the ledger"), auditTimeout), a.audit)
	huma.Register(api, managerOperation(http.MethodGet, "/stock/{productId}", "get-stock", "Read a product's quantities",
		http.StatusNotFound), a.stock)
	huma.Register(api, managerOperation(http.MethodGet, "/stock/{productId}/available", "get-available",
		"Read the available quantity of a product", http.StatusNotFound), a.available)
	huma.Register(api, managerOperation(http.MethodGet, "/stock/{productId}/movements", "list-movements",
		"List the ledger of a product, the oldest first", http.StatusNotFound), a.movements)
	for _, m := range []struct {
		method, path, id, summary string
		kind                      inventory.Kind
		errors                    []int
	}{
		{http.MethodPost, "receive", "receive-stock", "Receive goods", inventory.Received, nil},
		{http.MethodPost, "reserve", "reserve-stock", "Reserve goods manually", inventory.Reserved, []int{http.StatusConflict}},
		{http.MethodPost, "release", "release-stock", "Release manually reserved goods", inventory.Released, []int{http.StatusConflict}},
		{http.MethodDelete, "remove", "remove-stock", "Remove manually reserved goods", inventory.Removed, []int{http.StatusConflict}},
	} {
		op := managerOperation(m.method, "/stock/{productId}/"+m.path+"/{quantity}", m.id, m.summary, append(m.errors, http.StatusNotFound)...)
		op.DefaultStatus = http.StatusOK
		huma.Register(api, op, a.moveManual(m.kind))
	}
}

func (a *API) moveManual(kind inventory.Kind) func(context.Context, *moveManual) (*movedStock, error) {
	return func(ctx context.Context, in *moveManual) (*movedStock, error) {
		m := inventory.Movement{Kind: kind, ProductID: in.ProductID, Quantity: in.Quantity, ActorID: callerID(ctx)}
		request, err := in.Request(m.ActorID, "move", m)
		if err != nil {
			return nil, err
		}
		s, replayed, err := a.Inventory.MoveManual(ctx, m, request)
		return &movedStock{Replayed: idempotency.Replayed(replayed), Body: stockOf(s)}, err
	}
}

func (a *API) stock(ctx context.Context, in *ProductPath) (*response[stock], error) {
	s, err := a.Inventory.Stock(ctx, in.ProductID)
	return &response[stock]{stockOf(s)}, err
}

func (a *API) available(ctx context.Context, in *ProductPath) (*response[available], error) {
	s, err := a.Inventory.Stock(ctx, in.ProductID)
	return &response[available]{available{s.ProductID, s.Available}}, err
}

func (a *API) movements(ctx context.Context, in *listMovements) (*response[page.Page[movement]], error) {
	const kind = "movements"
	after, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := a.Inventory.Movements(ctx, in.ProductID, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	cut, err := page.Cut(rows, in.Limit, kind, func(m inventory.Movement) int64 { return m.ID })
	return &response[page.Page[movement]]{page.Map(cut, func(m inventory.Movement) movement {
		return movement{ID: m.ID, Kind: string(m.Kind), Quantity: m.Quantity, SaleID: m.SaleID, ActorID: m.ActorID, At: m.At}
	})}, err
}

func (a *API) audit(ctx context.Context, _ *struct{}) (*response[audit], error) {
	report, err := a.Inventory.Audit(ctx)
	out := audit{Products: report.Products, Movements: report.Movements, Violations: make([]violation, len(report.Violations))}
	for i, v := range report.Violations {
		out.Violations[i] = violation(v)
	}
	return &response[audit]{out}, err
}
