//go:build nightly

package e2e

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"
)

// TestOrderIsOneTrace places an order with a trace id, and looks it up in Jaeger: the gateway
// and the three services have spans in it, and every span but those of the client's own has
// its parent in it. `make nightly` runs it, because Jaeger takes minutes to build.
func TestOrderIsOneTrace(t *testing.T) {
	needsCluster(t)
	serversStarted = true
	if err := observe("up", "--fast-alerts"); err != nil {
		t.Fatal(err)
	}
	s := newShop(t)
	product := s.product(t, 1)
	var id [16]byte
	_, _ = rand.Read(id[:]) // never returns an error
	trace, parent := hex.EncodeToString(id[:]), "00f067aa0ba902b7"
	header := []string{"traceparent", "00-" + trace + "-" + parent + "-01"}
	if err := s.Do(t.Context(), s.customer, http.MethodGet, "/auth/me", nil, nil, header...); err != nil {
		t.Fatal(err)
	}
	var sale struct{ Status string }
	order := map[string]any{"items": []map[string]int64{{"productId": product, "quantity": 1}}}
	if err := s.Do(t.Context(), s.customer, http.MethodPost, "/sales", order, &sale, append(header, "Prefer", "wait=10")...); err != nil || sale.Status != "Confirmed" {
		t.Fatalf("the order is %q, %v; want it Confirmed", sale.Status, err)
	}
	want := []string{"auth", "gateway", "sales", "stock"}
	eventually(t, time.Minute, func() (bool, any) {
		var found jaegerTraces
		if err := get(t, "jaeger", "/api/traces/"+trace, nil, &found); err != nil || len(found.Data) != 1 {
			return false, err
		}
		services, orphans := found.Data[0].services(), found.Data[0].orphans(parent)
		return slices.Equal(services, want) && len(orphans) == 0, map[string][]string{"services": services, "spans without parent": orphans}
	})
}

// jaegerTraces is the part of a response of Jaeger's API that the test reads.
type jaegerTraces struct{ Data []jaegerTrace }

type jaegerTrace struct {
	Spans []struct {
		SpanID, OperationName, ProcessID string
		References                       []struct{ RefType, TraceID, SpanID string }
	}
	Processes map[string]struct{ ServiceName string }
}

// services returns the services that have spans in the trace, sorted.
func (j jaegerTrace) services() []string {
	names := map[string]bool{}
	for _, span := range j.Spans {
		names[j.Processes[span.ProcessID].ServiceName] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// orphans returns the operations of spans whose parent is neither in the trace nor root.
func (j jaegerTrace) orphans(root string) []string {
	known := map[string]bool{root: true}
	for _, span := range j.Spans {
		known[span.SpanID] = true
	}
	var orphans []string
	for _, span := range j.Spans {
		for _, r := range span.References {
			if r.RefType == "CHILD_OF" && !known[r.SpanID] {
				orphans = append(orphans, span.OperationName)
			}
		}
	}
	return orphans
}
