// Package httpapi implements the REST API of the sales service: the sales of a client, and
// the administration of sales and dead letters by managers.
package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/openapi"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/sales/internal/deadletter"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// API holds the dependencies of the operations.
type API struct {
	Store       sale.Store
	DeadLetters deadletter.Store
	// Redrive publishes a dead letter to the queue from which it was rejected.
	Redrive  func(context.Context, event.DeadLetter) error
	Watcher  *sale.Watcher
	Currency string
	// HoldTTL is the time after which a hold expires.
	HoldTTL time.Duration
	// Draining is closed when the server stops. It ends streams and waits.
	Draining <-chan struct{}
	// Now returns the time of a new sale.
	Now func(context.Context) (time.Time, error)
	// Log receives the actions of managers.
	Log *slog.Logger
}

// Register adds every operation to api.
func (a *API) Register(api huma.API) {
	create := operation(http.MethodPost, "/sales", "create-sale", "Place an order", http.StatusBadRequest, http.StatusConflict)
	create.DefaultStatus = http.StatusAccepted
	huma.Register(api, server.Slow(create, maxWait+10*time.Second), a.create)
	huma.Register(api, operation(http.MethodGet, "/sales", "list-sales", "List your sales, newest first"), a.list)
	huma.Register(api, operation(http.MethodGet, "/sales/{id}", "get-sale", "Read a sale", http.StatusNotFound), a.read)
	huma.Register(api, operation(http.MethodPatch, "/sales/{id}", "confirm-sale", "Confirm a hold",
		http.StatusBadRequest, http.StatusNotFound, http.StatusConflict), a.confirm)
	remove := operation(http.MethodDelete, "/sales/{id}", "cancel-sale", "Cancel a pending sale",
		http.StatusNotFound, http.StatusConflict)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, a.cancel)
	huma.Register(api, operation(http.MethodGet, "/sales/{id}/events", "list-sale-events", "Read the timeline of a sale",
		http.StatusNotFound), a.timeline)
	a.registerStream(api)
	a.registerAdmin(api)
	openapi.Describe(api, manual)
}

// operation returns an operation that only clients may call.
func operation(method, path, id, summary string, errors ...int) huma.Operation {
	return authn.Require(huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Tags: []string{"sales"},
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}, authn.Client)
}

// callerID returns the id of the authenticated user.
func callerID(ctx context.Context) int64 {
	p, _ := authn.FromContext(ctx)
	return p.UserID
}

// SalePath is exported because huma ignores embedded types that are not.
type SalePath struct {
	ID int64 `path:"id" minimum:"1" doc:"Id of the sale" example:"42"`
}

type listSales struct {
	page.Query
	Status string `query:"status" enum:"Pending,Confirmed,Canceled,Unauthorized" doc:"Only sales with this status" example:"Confirmed"`
}

type response[T any] struct{ Body T }

func (a *API) list(ctx context.Context, in *listSales) (*response[page.Page[saleBody]], error) {
	kind := "sales." + in.Status
	before, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	return a.salesPage(ctx, kind, sale.Filter{CustomerID: callerID(ctx), Status: sale.Status(in.Status), Before: before, Limit: in.Limit})
}

// salesPage returns a page of a list. kind distinguishes the cursors of the list.
func (a *API) salesPage(ctx context.Context, kind string, f sale.Filter) (*response[page.Page[saleBody]], error) {
	limit := f.Limit
	f.Limit++
	sales, err := a.Store.Sales(ctx, f)
	if err != nil {
		return nil, err
	}
	cut, err := page.Cut(sales, limit, kind, func(s sale.Sale) int64 { return s.ID })
	return &response[page.Page[saleBody]]{page.Map(cut, bodyOf)}, err
}

func (a *API) read(ctx context.Context, in *SalePath) (*response[saleBody], error) {
	s, err := a.Store.Sale(ctx, in.ID, callerID(ctx))
	return &response[saleBody]{bodyOf(s)}, err
}

type confirmSale struct {
	SalePath
	Body *struct {
		Status string `json:"status,omitempty" enum:"Confirmed" doc:"The only status that a client can set" example:"Confirmed"`
	} `required:"false"`
}

func (a *API) confirm(ctx context.Context, in *confirmSale) (*response[saleBody], error) {
	s, err := a.Store.Confirm(ctx, in.ID, callerID(ctx))
	return &response[saleBody]{bodyOf(s)}, err
}

func (a *API) cancel(ctx context.Context, in *SalePath) (*struct{}, error) {
	return nil, a.Store.Cancel(ctx, in.ID, callerID(ctx))
}

type listTimeline struct {
	SalePath
	page.Query
}

func (a *API) timeline(ctx context.Context, in *listTimeline) (*response[page.Page[entryBody]], error) {
	const kind = "timeline"
	after, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	entries, err := a.Store.Timeline(ctx, in.ID, callerID(ctx), after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	cut, err := page.Cut(entries, in.Limit, kind, func(e sale.Entry) int64 { return e.ID })
	return &response[page.Page[entryBody]]{page.Map(cut, entryOf)}, err
}
