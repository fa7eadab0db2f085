package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

type stock struct {
	ProductID         int64     `json:"productId" doc:"Id of the product" example:"7"`
	QuantityAvailable int64     `json:"quantityAvailable" doc:"What can be sold" example:"20"`
	QuantityReserved  int64     `json:"quantityReserved" example:"3" doc:"Held by sales and by hand"`
	QuantityRemoved   int64     `json:"quantityRemoved" doc:"What has left the store" example:"2"`
	UpdatedAt         time.Time `json:"updatedAt" doc:"When a quantity last changed"`
}

func stockOf(s inventory.Stock) stock {
	return stock{ProductID: s.ProductID, QuantityAvailable: s.Available, QuantityReserved: s.Reserved(),
		QuantityRemoved: s.Removed, UpdatedAt: s.UpdatedAt}
}

type available struct {
	ProductID         int64 `json:"productId" doc:"Id of the product" example:"7"`
	QuantityAvailable int64 `json:"quantityAvailable" doc:"What can be sold" example:"20"`
}

type movement struct {
	ID       int64     `json:"id" doc:"Line of the ledger" example:"101"`
	Kind     string    `json:"kind" enum:"received,reserved,released,removed" doc:"received: came in; reserved: held; released: given back; removed: left" example:"reserved"`
	Quantity int64     `json:"quantity" doc:"How many were moved" example:"5"`
	SaleID   int64     `json:"saleId,omitempty" example:"42" doc:"The sale that moved the goods, if one did"`
	ActorID  int64     `json:"actorId,omitempty" example:"1" doc:"The manager who moved the goods, if one did"`
	At       time.Time `json:"at" doc:"When the goods were moved"`
}

type audit struct {
	Products   int64       `json:"products" doc:"Products whose quantities were recomputed" example:"120"`
	Movements  int64       `json:"movements" doc:"Lines of the ledger that were summed" example:"4311"`
	Violations []violation `json:"violations" doc:"What does not add up; at most 1000"`
}

type violation struct {
	ProductID int64  `json:"productId" doc:"The product that does not add up" example:"7"`
	Rule      string `json:"rule" doc:"What should be true of it, and is not" example:"the ledger has lines, but there is no stock row"`
}

// OfProduct is embedded in inputs; huma passes over types that are not exported.
type OfProduct struct {
	ProductID int64 `path:"productId" minimum:"1" doc:"Id of the product" example:"7"`
}

type moving struct {
	OfProduct
	Quantity int64 `path:"quantity" minimum:"1" maximum:"1000000000" doc:"How many to move" example:"5"`
}

type listMovements struct {
	OfProduct
	page.Query
}

type answer[T any] struct{ Body T }

// auditTimeout bounds an audit, which reads the whole ledger.
const auditTimeout = 30 * time.Second

func (a *API) registerStock(api huma.API) {
	huma.Register(api, server.Slow(managers(http.MethodGet, "/stock/audit", "audit-stock",
		"Recompute the ledger against the quantities"), auditTimeout), a.audit)
	huma.Register(api, managers(http.MethodGet, "/stock/{productId}", "get-stock", "Read a product's quantities",
		http.StatusNotFound), a.stock)
	huma.Register(api, managers(http.MethodGet, "/stock/{productId}/available", "get-available",
		"Read what is available of a product", http.StatusNotFound), a.available)
	huma.Register(api, managers(http.MethodGet, "/stock/{productId}/movements", "list-movements",
		"List the ledger of a product, the oldest first", http.StatusNotFound), a.movements)
	for _, m := range []struct {
		method, path, id, summary string
		kind                      inventory.Kind
		errors                    []int
	}{
		{http.MethodPost, "receive", "receive-stock", "Take goods in", inventory.Received, nil},
		{http.MethodPost, "reserve", "reserve-stock", "Hold goods by hand", inventory.Reserved, []int{http.StatusConflict}},
		{http.MethodPost, "release", "release-stock", "Give back goods held by hand", inventory.Released, []int{http.StatusConflict}},
		{http.MethodDelete, "remove", "remove-stock", "Let goods held by hand leave", inventory.Removed, []int{http.StatusConflict}},
	} {
		op := managers(m.method, "/stock/{productId}/"+m.path+"/{quantity}", m.id, m.summary, append(m.errors, http.StatusNotFound)...)
		op.DefaultStatus = http.StatusOK
		huma.Register(api, op, a.byHand(m.kind))
	}
}

func (a *API) byHand(kind inventory.Kind) func(context.Context, *moving) (*answer[stock], error) {
	return func(ctx context.Context, in *moving) (*answer[stock], error) {
		s, err := a.Inventory.ByHand(ctx, kind, in.ProductID, in.Quantity, actor(ctx))
		return &answer[stock]{stockOf(s)}, err
	}
}

func (a *API) stock(ctx context.Context, in *OfProduct) (*answer[stock], error) {
	s, err := a.Inventory.Stock(ctx, in.ProductID)
	return &answer[stock]{stockOf(s)}, err
}

func (a *API) available(ctx context.Context, in *OfProduct) (*answer[available], error) {
	s, err := a.Inventory.Stock(ctx, in.ProductID)
	return &answer[available]{available{s.ProductID, s.Available}}, err
}

func (a *API) movements(ctx context.Context, in *listMovements) (*answer[page.Page[movement]], error) {
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
	return &answer[page.Page[movement]]{page.Map(cut, func(m inventory.Movement) movement {
		return movement{ID: m.ID, Kind: string(m.Kind), Quantity: m.Quantity, SaleID: m.SaleID, ActorID: m.ActorID, At: m.At}
	})}, err
}

func (a *API) audit(ctx context.Context, _ *struct{}) (*answer[audit], error) {
	report, err := a.Inventory.Audit(ctx)
	out := audit{Products: report.Products, Movements: report.Movements, Violations: make([]violation, len(report.Violations))}
	for i, v := range report.Violations {
		out.Violations[i] = violation(v)
	}
	return &answer[audit]{out}, err
}
