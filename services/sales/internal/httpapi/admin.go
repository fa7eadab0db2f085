package httpapi

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/page"
	"ecommerce-stack.dev/services/sales/internal/deadletter"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// redriveRetry is what a manager is told to wait while the broker is away.
const redriveRetry = 5 * time.Second

func (a *API) registerAdmin(api huma.API) {
	huma.Register(api, managed(http.MethodGet, "/admin/sales", "admin-list-sales", "List the sales of all clients, newest first",
		"Every sale, of any client, optionally of one client and of one status."), a.listAll)
	huma.Register(api, managed(http.MethodGet, "/admin/dead-letters", "list-dead-letters", "List the messages that were set aside",
		"Messages that a service could never handle, newest first. Each stays until it is redriven or deleted. "+
			"Of a long body the beginning is shown."), a.listLetters)
	redrive := managed(http.MethodPost, "/admin/dead-letters/{id}/redrive", "redrive-dead-letter", "Send a message to its queue again",
		"For a message whose cause is mended. It leaves the list once the broker has taken it, and comes back as another "+
			"if it is refused again. Who did it is logged.", http.StatusNotFound)
	redrive.DefaultStatus = http.StatusNoContent
	huma.Register(api, redrive, a.redrive)
	remove := managed(http.MethodDelete, "/admin/dead-letters/{id}", "delete-dead-letter", "Delete a message for good",
		"The message is lost, and with it the effect it should have had. Who did it is logged.", http.StatusNotFound)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, a.deleteLetter)
}

// managed is an operation for managers.
func managed(method, path, id, summary, description string, errors ...int) huma.Operation {
	return authn.Require(huma.Operation{
		Method: method, Path: path, OperationID: id, Summary: summary, Description: description, Tags: []string{"operations"},
		Errors: append(errors, http.StatusUnprocessableEntity, http.StatusServiceUnavailable),
	}, authn.Manager)
}

type listAllSales struct {
	page.Query
	Status     string `query:"status" enum:"Pending,Confirmed,Canceled,Unauthorized" doc:"Only sales with this status"`
	CustomerID int64  `query:"customerId" minimum:"1" doc:"Only sales of this client" example:"5"`
}

func (a *API) listAll(ctx context.Context, in *listAllSales) (*answer[page.Page[saleBody]], error) {
	kind := fmt.Sprintf("admin.sales.%s.%d", in.Status, in.CustomerID)
	before, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	return a.salesPage(ctx, kind, sale.Filter{CustomerID: in.CustomerID, Status: sale.Status(in.Status), Before: before, Limit: in.Limit})
}

type letterBody struct {
	ID           int64     `json:"id" doc:"Id of the dead letter" example:"3"`
	Queue        string    `json:"queue" example:"stock.sale-events" doc:"The queue it was refused from"`
	Reason       string    `json:"reason" example:"rejected" doc:"rejected: it could not be handled; delivery_limit: whoever took it ended before it was handled, too often"`
	EventID      string    `json:"eventId,omitempty" example:"0197c0de-0000-7000-8000-000000000001" doc:"Id of the event, as the message says"`
	EventType    string    `json:"eventType,omitempty" example:"SaleCreated" doc:"Type of the event, as the message says"`
	SaleID       int64     `json:"saleId,omitempty" example:"42" doc:"The sale it is about, as the message says"`
	DiedAt       time.Time `json:"diedAt" doc:"When it was refused"`
	KeptAt       time.Time `json:"keptAt" doc:"When it was set aside here"`
	Body         string    `json:"body" example:"{\"specversion\":\"1.0\"" doc:"The message, at most its first 4096 bytes"`
	BodyEncoding string    `json:"bodyEncoding,omitempty" enum:"base64" doc:"base64 when the message is not text"`
	BodyBytes    int64     `json:"bodyBytes" example:"320" doc:"The size of the whole message"`
}

func letterOf(l deadletter.Letter) letterBody {
	b := letterBody{ID: l.ID, Queue: l.Queue, Reason: l.Reason, EventID: printable(l.MessageID), EventType: printable(l.Type),
		DiedAt: l.DiedAt, KeptAt: l.KeptAt, BodyBytes: l.Size}
	b.SaleID, _ = strconv.ParseInt(l.Correlation, 10, 64)
	shown := l.Body
	for cut := 0; cut < utf8.UTFMax && int64(len(l.Body)) < l.Size && !utf8.Valid(shown); cut++ {
		shown = shown[:len(shown)-1] // the beginning of a character
	}
	if b.Body = string(shown); !utf8.ValidString(b.Body) {
		b.Body, b.BodyEncoding = base64.StdEncoding.EncodeToString(l.Body), "base64"
	}
	return b
}

func printable(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func (a *API) listLetters(ctx context.Context, in *page.Query) (*answer[page.Page[letterBody]], error) {
	const kind = "dead-letters"
	before, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	letters, err := a.Letters.Letters(ctx, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	cut, err := page.Cut(letters, in.Limit, kind, func(l deadletter.Letter) int64 { return l.ID })
	return &answer[page.Page[letterBody]]{page.Map(cut, letterOf)}, err
}

// OfLetter is embedded in inputs; huma passes over types that are not exported.
type OfLetter struct {
	ID int64 `path:"id" minimum:"1" doc:"The dead letter's id" example:"3"`
}

func (a *API) redrive(ctx context.Context, in *OfLetter) (*struct{}, error) {
	err := a.Letters.Redrive(ctx, in.ID, func(ctx context.Context, l event.DeadLetter) error {
		if err := a.Redrive(ctx, l); err != nil {
			return failure.Unavailable(redriveRetry, err)
		}
		return nil
	})
	return nil, a.logged(ctx, "dead letter redriven", in.ID, err)
}

func (a *API) deleteLetter(ctx context.Context, in *OfLetter) (*struct{}, error) {
	return nil, a.logged(ctx, "dead letter deleted", in.ID, a.Letters.Delete(ctx, in.ID))
}

// logged says who did what, unless it failed: as a warning, which is written at once,
// because what was done cannot be undone.
func (a *API) logged(ctx context.Context, what string, id int64, err error) error {
	if err == nil {
		p, _ := authn.FromContext(ctx)
		a.Log.WarnContext(ctx, what, "dead_letter", id, "actor", p.UserID, "actor_email", p.Email)
	}
	return err
}
