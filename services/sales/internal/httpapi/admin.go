package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
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

// redriveRetryAfter is the Retry-After of a response while the broker is unavailable.
const redriveRetryAfter = 5 * time.Second

func (a *API) registerAdmin(api huma.API) {
	huma.Register(api, managerOperation(http.MethodGet, "/admin/sales", "admin-list-sales", "List the sales of all clients, newest first",
		"Every sale, of any client, optionally of one client and of one status."), a.listAll)
	huma.Register(api, managerOperation(http.MethodGet, "/admin/dead-letters", "list-dead-letters", "List dead letters",
		"Messages that a service could not handle, newest first. Each is stored until it is redriven or deleted. "+
			"A long body is truncated."), a.listDeadLetters)
	redrive := managerOperation(http.MethodPost, "/admin/dead-letters/{id}/redrive", "redrive-dead-letter", "Send a dead letter to its queue again",
		"Use it after the cause of the failure is fixed. The dead letter is deleted when the broker has confirmed it, and a "+
			"new one is stored if the message is rejected again. The action is logged with the manager's id.", http.StatusNotFound, http.StatusConflict)
	redrive.DefaultStatus = http.StatusNoContent
	huma.Register(api, redrive, a.redrive)
	redriveAll := managerOperation(http.MethodPost, "/admin/dead-letters/redrive", "redrive-dead-letters", "Send dead letters to their queues again",
		"Redrives the dead letters that match all fields of the body, the oldest first, each as if alone. With `dryRun` it changes nothing "+
			"and returns those that would be redriven. Repeat the request while `more` is true. If the broker is unavailable, it stops with 503; those that "+
			"were redriven before are deleted, so that the request can be repeated. Dead letters of which only a part is stored are skipped.")
	huma.Register(api, redriveAll, a.redriveAll)
	remove := managerOperation(http.MethodDelete, "/admin/dead-letters/{id}", "delete-dead-letter", "Delete a dead letter",
		"The message and its effect are lost. The action is logged with the manager's id.", http.StatusNotFound)
	remove.DefaultStatus = http.StatusNoContent
	huma.Register(api, remove, a.deleteDeadLetter)
}

// managerOperation returns an operation that only managers may call.
func managerOperation(method, path, id, summary, description string, errors ...int) huma.Operation {
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

func (a *API) listAll(ctx context.Context, in *listAllSales) (*response[page.Page[saleBody]], error) {
	kind := fmt.Sprintf("admin.sales.%s.%d", in.Status, in.CustomerID)
	before, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	return a.salesPage(ctx, kind, sale.Filter{CustomerID: in.CustomerID, Status: sale.Status(in.Status), Before: before, Limit: in.Limit})
}

type deadLetterBody struct {
	ID           int64           `json:"id" doc:"Id of the dead letter" example:"3"`
	Queue        string          `json:"queue" example:"stock.sale-events" doc:"Queue from which the message was rejected"`
	Reason       string          `json:"reason" example:"rejected" doc:"rejected: the message could not be handled; delivery_limit: consumers disconnected too often before they handled it"`
	EventID      string          `json:"eventId,omitempty" example:"0197c0de-0000-7000-8000-000000000001" doc:"Id of the event, from the properties of the message"`
	EventType    string          `json:"eventType,omitempty" example:"SaleCreated" doc:"Type of the event, from the properties of the message"`
	SaleID       int64           `json:"saleId,omitempty" example:"42" doc:"Sale of the event, from the properties of the message"`
	DiedAt       time.Time       `json:"diedAt" doc:"When the message was rejected"`
	StoredAt     time.Time       `json:"keptAt" doc:"When the dead letter was stored"`
	Body         string          `json:"body" example:"{\"specversion\":\"1.0\"" doc:"The message, at most its first 4096 bytes"`
	BodyEncoding string          `json:"bodyEncoding,omitempty" enum:"base64" doc:"base64 when the message is not text"`
	BodyBytes    int64           `json:"bodyBytes" example:"320" doc:"Size of the complete message in bytes"`
	Incomplete   bool            `json:"incomplete,omitempty" example:"true" doc:"Whether only the first 65536 bytes of the message are stored, so that it cannot be redriven"`
	Headers      json.RawMessage `json:"headers,omitempty" example:"{\"traceparent\":\"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\"}" doc:"Headers of the message, unless they are longer than 16 KiB"`
}

// deadLetterBodyOf returns the JSON representation of a dead letter. Bodies that are not
// UTF-8 are encoded with base64.
func deadLetterBodyOf(l deadletter.DeadLetter) deadLetterBody {
	b := deadLetterBody{ID: l.ID, Queue: l.Queue, Reason: l.Reason, EventID: printable(l.MessageID), EventType: printable(l.Type),
		DiedAt: l.DiedAt, StoredAt: l.StoredAt, BodyBytes: l.Size,
		Incomplete: l.Incomplete, Headers: l.Headers}
	b.SaleID, _ = strconv.ParseInt(l.Correlation, 10, 64)
	shown := l.Body
	for cut := 0; cut < utf8.UTFMax && int64(len(l.Body)) < l.Size && !utf8.Valid(shown); cut++ {
		shown = shown[:len(shown)-1] // the first bytes of a character
	}
	if b.Body = string(shown); !utf8.ValidString(b.Body) {
		b.Body, b.BodyEncoding = base64.StdEncoding.EncodeToString(l.Body), "base64"
	}
	return b
}

func printable(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func (a *API) listDeadLetters(ctx context.Context, in *page.Query) (*response[page.Page[deadLetterBody]], error) {
	const kind = "dead-letters"
	before, _, err := page.Decode[int64](kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	deadLetters, err := a.DeadLetters.DeadLetters(ctx, before, in.Limit+1)
	if err != nil {
		return nil, err
	}
	cut, err := page.Cut(deadLetters, in.Limit, kind, func(l deadletter.DeadLetter) int64 { return l.ID })
	return &response[page.Page[deadLetterBody]]{page.Map(cut, deadLetterBodyOf)}, err
}

// DeadLetterPath is exported because huma ignores embedded types that are not.
type DeadLetterPath struct {
	ID int64 `path:"id" minimum:"1" doc:"The dead letter's id" example:"3"`
}

func (a *API) redrive(ctx context.Context, in *DeadLetterPath) (*struct{}, error) {
	return nil, a.redriveOne(ctx, in.ID)
}

func (a *API) redriveOne(ctx context.Context, id int64) error {
	err := a.DeadLetters.Redrive(ctx, id, func(ctx context.Context, l event.DeadLetter) error {
		if err := a.Redrive(ctx, l); err != nil {
			return failure.Unavailable(redriveRetryAfter, err)
		}
		return nil
	})
	return a.logAction(ctx, "dead letter redriven", id, err)
}

type redriveRequest struct {
	Body struct {
		Queue      string    `json:"queue,omitempty" maxLength:"255" doc:"Only messages that were rejected from this queue" example:"stock.sale-events"`
		EventType  string    `json:"eventType,omitempty" maxLength:"255" doc:"Only messages of this type of event" example:"SaleCreated"`
		Reason     string    `json:"reason,omitempty" maxLength:"255" doc:"Only messages that were rejected for this reason: rejected or delivery_limit" example:"rejected"`
		DiedBefore time.Time `json:"diedBefore,omitempty" doc:"Only messages that were rejected before this time" example:"2026-11-22T10:00:00Z"`
		DiedAfter  time.Time `json:"diedAfter,omitempty" doc:"Only messages that were rejected after this time" example:"2026-11-21T10:00:00Z"`
		Limit      int       `json:"limit,omitempty" minimum:"1" maximum:"500" default:"100" doc:"Maximum number of messages to redrive" example:"100"`
		DryRun     bool      `json:"dryRun,omitempty" doc:"Whether to return the messages that match without redriving them" example:"true"`
	}
}

type redriveResult struct {
	IDs     []int64 `json:"ids" doc:"Ids of the dead letters that were redriven, or would be" example:"[3]"`
	DryRun  bool    `json:"dryRun" doc:"Whether nothing was redriven" example:"false"`
	Skipped int     `json:"skipped" doc:"Number of dead letters that match, but of which only a part is stored" example:"0"`
	More    bool    `json:"more" doc:"Whether more dead letters match" example:"false"`
}

func (a *API) redriveAll(ctx context.Context, in *redriveRequest) (*response[redriveResult], error) {
	b := in.Body
	ids, skipped, err := a.DeadLetters.Find(ctx, deadletter.Filter{Queue: b.Queue, Type: b.EventType, Reason: b.Reason,
		DiedBefore: b.DiedBefore, DiedAfter: b.DiedAfter}, b.Limit+1)
	if err != nil {
		return nil, err
	}
	result := redriveResult{IDs: []int64{}, DryRun: b.DryRun, Skipped: skipped, More: len(ids) > b.Limit}
	for _, id := range ids[:min(len(ids), b.Limit)] {
		if !b.DryRun {
			err := a.redriveOne(ctx, id)
			if errors.Is(err, deadletter.ErrNotFound) {
				continue // Another request has redriven or deleted it.
			}
			if err != nil {
				return nil, err
			}
		}
		result.IDs = append(result.IDs, id)
	}
	return &response[redriveResult]{result}, nil
}

func (a *API) deleteDeadLetter(ctx context.Context, in *DeadLetterPath) (*struct{}, error) {
	return nil, a.logAction(ctx, "dead letter deleted", in.ID, a.DeadLetters.Delete(ctx, in.ID))
}

// logAction logs an action of a manager that has succeeded, and returns err. It logs a
// warning, which is not buffered, because the action cannot be undone.
func (a *API) logAction(ctx context.Context, message string, id int64, err error) error {
	if err == nil {
		p, _ := authn.FromContext(ctx)
		a.Log.WarnContext(ctx, message, "deadLetterId", id, "actorId", p.UserID, "actorEmail", p.Email)
	}
	return err
}
