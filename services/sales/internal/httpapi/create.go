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

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/sales/internal/sale"
)

// maxWait of a Prefer: wait.
const maxWait = 30 * time.Second

// endMargin is how long the end of a request that waited may take.
const endMargin = 5 * time.Second

// readInterval is the time between attempts to read a decided sale while the database
// fails.
const readInterval = 250 * time.Millisecond

type lineBody struct {
	ProductID int64 `json:"productId" minimum:"1" doc:"The product" example:"7"`
	Quantity  int64 `json:"quantity" minimum:"1" maximum:"10000" doc:"How many of it" example:"2"`
}

type createBody struct {
	Items []lineBody `json:"items" minItems:"1" maxItems:"100" doc:"Lines of one product are added up, to at most 10000"`
	Hold  bool       `json:"hold,omitempty" doc:"Keep the sale Pending, with its stock reserved, until it is confirmed, canceled or expires" example:"false"`
}

type createSale struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"Makes the request safe to repeat for 24 hours" example:"0b9f6c1e-order-1"`
	Prefer         string `header:"Prefer" maxLength:"256" doc:"wait=N waits up to N seconds, at most 30, for the decision (RFC 7240)" example:"wait=10"`
	Body           createBody
}

// Resolve joins the lines of Prefer, of which there may be several (RFC 7240,
// section 2). It implements huma.Resolver.
func (in *createSale) Resolve(ctx huma.Context) []error {
	var lines []string
	ctx.EachHeader(func(name, value string) {
		if strings.EqualFold(name, "Prefer") {
			lines = append(lines, value)
		}
	})
	in.Prefer = strings.Join(lines, ",")
	return nil
}

type createdSale struct {
	Status            int
	Location          string `header:"Location" doc:"Where the sale is" example:"/sales/42"`
	Replayed          string `header:"Idempotent-Replayed" doc:"true when this is the stored answer to an earlier request" example:"true"`
	PreferenceApplied string `header:"Preference-Applied" doc:"The wait that was granted (RFC 7240, section 3)" example:"wait=10"`
	Body              saleBody
}

func (a *API) create(ctx context.Context, in *createSale) (*createdSale, error) {
	lines := make([]sale.Item, len(in.Body.Items))
	for i, l := range in.Body.Items {
		lines[i] = sale.Item{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	fresh, err := sale.New(customer(ctx), lines, in.Body.Hold, a.Currency, a.Now(), a.HoldTTL)
	if err != nil {
		return nil, err
	}
	request, err := requestOf(in.IdempotencyKey, fresh)
	if err != nil {
		return nil, err
	}
	wait := waitOf(in.Prefer)
	if request.Key != "" && wait > 0 {
		until := fresh.CreatedAt.Add(wait + endMargin)
		request.RunningUntil = &until
	}
	s, replayed, err := a.Store.Create(ctx, fresh, request)
	if err != nil {
		return nil, err
	}
	out := createdSale{Status: http.StatusAccepted, Location: "/sales/" + strconv.FormatInt(s.ID, 10)}
	if replayed {
		out.Replayed = "true"
	} else if wait > 0 {
		var waited bool
		if s, waited = a.await(ctx, s, wait, request); waited {
			out.PreferenceApplied = "wait=" + strconv.Itoa(int(wait/time.Second))
		}
	}
	if s.Decided() {
		out.Status = http.StatusCreated
	}
	out.Body = bodyOf(s)
	return &out, nil
}

// requestOf hashes what the request asks for, so that a repeat may be formatted
// otherwise.
func requestOf(key string, s sale.Sale) (sale.Request, error) {
	if key == "" {
		return sale.Request{}, nil
	}
	asked, err := json.Marshal(struct {
		Items []sale.Item
		Hold  bool
	}{s.Items, s.Hold})
	if err != nil {
		return sale.Request{}, fmt.Errorf("hash a request: %w", err)
	}
	return sale.Request{Key: key, Body: sha256.Sum256(asked)}, nil
}

// waitOf reads the wait preference; one that is malformed is ignored, as RFC 7240,
// section 2 asks.
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

// await waits until the sale is decided, and ends the request. When the time passes, the
// client leaves, the server stops or the database fails, it returns the sale as it was
// accepted. It reports false when it did not wait, because this replica watches as many
// sales as it may.
func (a *API) await(ctx context.Context, accepted sale.Sale, wait time.Duration, r sale.Request) (final sale.Sale, waited bool) {
	final, decided := accepted, false
	entries, stop, err := a.Watcher.Subscribe(accepted.ID, 0)
	if waited = err == nil; waited {
		final, decided = a.decision(ctx, accepted, wait, entries)
		stop()
	}
	if r.Key == "" {
		return final, waited
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endMargin)
	defer cancel()
	if err := a.Store.Answered(ctx, final, r); err != nil && decided {
		return accepted, waited // This is what a repeat will get, too, once RunningUntil has passed.
	}
	return final, waited
}

// decision waits for the decided sale, else it returns the sale as it was accepted.
func (a *API) decision(ctx context.Context, accepted sale.Sale, wait time.Duration, entries <-chan []sale.Entry) (final sale.Sale, decided bool) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var read <-chan time.Time
	for {
		select {
		case added := <-entries:
			if slices.ContainsFunc(added, sale.Entry.Decides) {
				read = time.After(0)
			}
		case <-read:
			if current, err := a.Store.Sale(ctx, accepted.ID, accepted.CustomerID); err == nil && current.Decided() {
				return current, true
			}
			read = time.After(readInterval)
		case <-a.Draining:
			return accepted, false
		case <-ctx.Done():
			return accepted, false
		}
	}
}
