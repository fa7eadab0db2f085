package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// maxWait is the maximum of the preference wait.
const maxWait = 30 * time.Second

// endMargin is the time in which a request that has waited must store its response.
const endMargin = 5 * time.Second

// readTimeout is the time in which the sale is read when a wait has timed out. It is a part of
// endMargin.
const readTimeout = 2 * time.Second

// readInterval is the time between attempts to read a decided sale while the database
// fails.
const readInterval = 250 * time.Millisecond

type lineBody struct {
	ProductID int64 `json:"productId" minimum:"1" doc:"Id of the product" example:"7"`
	Quantity  int64 `json:"quantity" minimum:"1" maximum:"10000" doc:"Quantity of the product" example:"2"`
}

type createBody struct {
	Items []lineBody `json:"items" minItems:"1" maxItems:"100" doc:"Lines of the same product are merged, to a quantity of at most 10000"`
	Hold  bool       `json:"hold,omitempty" doc:"Whether the sale stays Pending, with its stock reserved, until it is confirmed or canceled, or expires" example:"false"`
}

type createSale struct {
	idempotency.Header
	Prefer string `header:"Prefer" maxLength:"256" doc:"wait=N delays the response until the sale is decided, or reserved if it is a hold, up to N seconds and at most 30 (RFC 7240)" example:"wait=10"`
	Body   createBody
}

type createdSale struct {
	Status            int
	Location          string `header:"Location" doc:"Path of the sale" example:"/sales/42"`
	Replayed          string `header:"Idempotent-Replayed" doc:"true if this is the stored response to an earlier request" example:"true"`
	PreferenceApplied string `header:"Preference-Applied" doc:"The preference that was applied (RFC 7240, section 3)" example:"wait=10"`
	Body              saleBody
}

func (a *API) create(ctx context.Context, in *createSale) (*createdSale, error) {
	lines := make([]sale.Item, len(in.Body.Items))
	for i, l := range in.Body.Items {
		lines[i] = sale.Item{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	now, err := a.Now(ctx)
	if err != nil {
		return nil, err
	}
	fresh, err := sale.New(callerID(ctx), lines, in.Body.Hold, a.Currency, now, a.HoldTTL)
	if err != nil {
		return nil, err
	}
	request, err := requestOf(in.Key, fresh)
	if err != nil {
		return nil, err
	}
	wait := waitOf(in.Prefer)
	if wait > 0 {
		telemetry.SetLong(ctx)
	}
	if request.Key != "" && wait > 0 {
		until := fresh.CreatedAt.Add(wait + endMargin)
		request.RunningUntil = &until
	}
	s, replayed, err := a.Store.Create(ctx, fresh, request)
	if err != nil {
		return nil, err
	}
	out := createdSale{Status: http.StatusAccepted, Location: "/sales/" + strconv.FormatInt(s.ID, 10)}
	out.Replayed = idempotency.Replayed(replayed)
	if !replayed && wait > 0 {
		var waited bool
		if s, waited = a.waitForDecision(ctx, s, wait, request); waited {
			out.PreferenceApplied = "wait=" + strconv.Itoa(int(wait/time.Second))
		}
	}
	if s.IsDecided() {
		out.Status = http.StatusCreated
	}
	out.Body = bodyOf(s)
	return &out, nil
}

// requestOf returns the request of a sale. It hashes the merged lines, so that the JSON of a
// repeat may be formatted differently.
func requestOf(key string, s sale.Sale) (sale.Request, error) {
	if key == "" {
		return sale.Request{}, nil
	}
	content, err := json.Marshal(struct {
		Items []sale.Item
		Hold  bool
	}{s.Items, s.Hold})
	if err != nil {
		return sale.Request{}, fmt.Errorf("hash a request: %w", err)
	}
	return sale.Request{Key: key, BodyHash: sha256.Sum256(content)}, nil
}

// waitOf returns the preference wait, at most maxWait. A malformed preference is ignored
// (RFC 7240, section 2).
func waitOf(prefer string) time.Duration {
	for preference := range strings.SplitSeq(prefer, ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		if !strings.EqualFold(strings.TrimSpace(name), "wait") {
			continue
		}
		seconds, err := strconv.Atoi(strings.Trim(strings.TrimSpace(value), `"`))
		if err != nil || seconds < 0 {
			return 0
		}
		return min(time.Duration(min(seconds, 3600))*time.Second, maxWait)
	}
	return 0
}

// waitForDecision waits until the sale is decided, or its stock is reserved if it is a hold, and
// completes the request. When the time passes, the client disconnects or the server stops, it
// returns the sale as it is then. It returns the sale as it was accepted if the database fails, and
// reports false when it did not wait, because this replica watches its maximum of sales.
func (a *API) waitForDecision(ctx context.Context, accepted sale.Sale, wait time.Duration, r sale.Request) (final sale.Sale, waited bool) {
	entries, stop, err := a.Watcher.Subscribe(accepted.ID, 0)
	final = accepted
	if waited = err == nil; waited {
		final = a.decision(ctx, accepted, wait, entries)
		stop()
	}
	if r.Key == "" {
		return final, waited
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endMargin)
	defer cancel()
	if err := a.Store.CompleteRequest(ctx, final, r); err != nil {
		return accepted, waited // A repeat gets the same response after RunningUntil.
	}
	return final, waited
}

// decision returns the sale when a wait for it ends.
func (a *API) decision(ctx context.Context, accepted sale.Sale, wait time.Duration, entries <-chan []sale.Entry) sale.Sale {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	awaited := sale.Entry.IsDecision
	if accepted.Hold {
		awaited = func(e sale.Entry) bool { return e.IsReservation() || e.IsDecision() }
	}
	var read <-chan time.Time
	for {
		select {
		case added := <-entries:
			if slices.ContainsFunc(added, awaited) {
				read = time.After(0)
			}
		case <-read:
			if current, err := a.Store.Sale(ctx, accepted.ID, accepted.CustomerID); err == nil {
				return current
			}
			read = time.After(readInterval)
		case <-a.Draining:
			return a.current(ctx, accepted)
		case <-ctx.Done():
			return a.current(ctx, accepted)
		}
	}
}

// current returns the sale as it is after a wait, or as it was accepted if the database fails.
func (a *API) current(ctx context.Context, accepted sale.Sale) sale.Sale {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTimeout)
	defer cancel()
	if s, err := a.Store.Sale(ctx, accepted.ID, accepted.CustomerID); err == nil {
		return s
	}
	return accepted
}
