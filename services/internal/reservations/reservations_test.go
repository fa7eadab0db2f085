package reservations_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/reservations"
)

func TestReservationsAreFetchedInRanges(t *testing.T) {
	t.Parallel()
	var all []reservations.Reservation
	for id := int64(1); id <= reservations.MaxRange; id++ {
		all = append(all, reservations.Reservation{SaleID: 1<<62 + id, Status: reservations.Reserved, Lines: reservations.Digest(nil)})
	}
	var unavailable error
	handler := reservations.Handler(func(_ context.Context, first, last int64) ([]reservations.Reservation, error) {
		if first != 1 || last != reservations.MaxRange {
			return nil, fmt.Errorf("range %d to %d", first, last)
		}
		return all, unavailable
	}, slog.New(slog.DiscardHandler))
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	fetch := reservations.Fetch(server.URL)
	got, err := fetch(t.Context(), 1, reservations.MaxRange)
	if diff := cmp.Diff(all, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	unavailable = errors.New("no database")
	if _, err := fetch(t.Context(), 1, reservations.MaxRange); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want the 503 of stock", err)
	}
	for _, query := range []string{"", "first=1", "last=1", "first=0&last=1", "first=2&last=1", "first=1&last=1001", "first=x&last=1", "first=1&last=9223372036854775808"} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/reservations?"+query, nil))
		if rec.Code != http.StatusBadRequest || !strings.Contains(rec.Body.String(), "first and last must be a range of 1 to 1000 ids") {
			t.Errorf("%s: %d %s, want 400", query, rec.Code, rec.Body)
		}
	}
}

func TestDigestDependsOnLinesAndNotOnTheirOrder(t *testing.T) {
	t.Parallel()
	a, b := event.Item{ProductID: 1, Quantity: 2}, event.Item{ProductID: 2, Quantity: 1}
	if reservations.Digest([]event.Item{a, b}) != reservations.Digest([]event.Item{b, a}) {
		t.Error("the digest depends on the order")
	}
	seen := map[string][]event.Item{}
	for _, items := range [][]event.Item{{}, {a}, {b}, {a, b}, {a, a}, {{ProductID: 12, Quantity: 1}}, {{ProductID: 1, Quantity: 21}}, {{ProductID: 1, Quantity: 1}}} {
		digest := reservations.Digest(items)
		if other, found := seen[digest]; found {
			t.Errorf("%v and %v have the same digest", items, other)
		}
		seen[digest] = items
	}
}
