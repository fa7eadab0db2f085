// Package reservations implements the internal API by which sales compares its sales with the
// reservations of stock. It says of each reservation whether and for which lines it holds goods, and
// not of whom or how many.
package reservations

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"ecommerce-stack.dev/services/event"
)

// Pattern is the route of Handler at the metrics address of stock.
const Pattern = "GET /reservations"

const (
	// MaxRange is the maximum number of ids in one request.
	MaxRange = 1000
	timeout  = 5 * time.Second
	// maxBody bounds the size of a response in bytes; a reservation has about 70.
	maxBody = 200 * MaxRange
)

// Statuses of a reservation that holds goods or has removed them.
const (
	Reserved = "Reserved"
	Removed  = "Removed"
)

// Reservation is the reservation of a sale.
type Reservation struct {
	SaleID int64  `json:"saleId"`
	Status string `json:"status"`
	// Lines is the Digest of its lines.
	Lines string `json:"lines"`
}

// Digest returns a text that is equal for equal lines in any order.
func Digest(items []event.Item) string {
	items = slices.Clone(items)
	slices.SortFunc(items, func(a, b event.Item) int {
		return cmp.Or(cmp.Compare(a.ProductID, b.ProductID), cmp.Compare(a.Quantity, b.Quantity))
	})
	h := sha256.New()
	for _, it := range items {
		fmt.Fprintf(h, "%d:%d;", it.ProductID, it.Quantity)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// List returns the reservations of the sales with ids from first to last.
type List func(ctx context.Context, first, last int64) ([]Reservation, error)

// Handler returns a handler for List with the parameters first and last. It responds with 400 to a
// range of more than MaxRange ids.
func Handler(list List, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, firstErr := strconv.ParseInt(r.URL.Query().Get("first"), 10, 64)
		last, lastErr := strconv.ParseInt(r.URL.Query().Get("last"), 10, 64)
		if firstErr != nil || lastErr != nil || first < 1 || last < first || last-first >= MaxRange {
			http.Error(w, fmt.Sprintf("first and last must be a range of 1 to %d ids", MaxRange), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		found, err := list(ctx, first, last)
		if err != nil {
			log.WarnContext(ctx, "reading reservations failed", "error", err)
			http.Error(w, "the reservations cannot be read", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(found) // The client may be gone.
	})
}

// Fetch returns a List that reads from the URL of a Handler.
func Fetch(address string) List {
	return func(ctx context.Context, first, last int64) ([]Reservation, error) {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
		if err != nil {
			return nil, fmt.Errorf("read reservations: %w", err)
		}
		req.URL.RawQuery = url.Values{"first": {strconv.FormatInt(first, 10)}, "last": {strconv.FormatInt(last, 10)}}.Encode()
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, fmt.Errorf("read reservations: %w", err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("read reservations: stock responded with %s", res.Status)
		}
		var found []Reservation
		if err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&found); err != nil {
			return nil, fmt.Errorf("read reservations: %w", err)
		}
		return found, nil
	}
}
