package contract_test

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"os"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// TestLogsContainRequestIDAndTrace checks the logs of the gateway and of a service for
// one request.
func TestLogsContainRequestIDAndTrace(t *testing.T) {
	s := startSystem(t)
	api := &client.Client{URL: s.URL}
	manager, err := api.Login(t.Context(), s.ManagerEmail, s.ManagerPassword)
	if err != nil {
		t.Fatal(err)
	}
	id := rand.Text()
	const trace = "5bf92f3577b34da6a3ce929d0e0e4736"
	err = api.Do(t.Context(), manager, http.MethodGet, "/stock/audit", nil, nil,
		"X-Request-Id", id, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"gateway", "stock"} {
		for deadline := time.Now().Add(5 * time.Second); ; {
			log, err := os.ReadFile(s.LogFile(service))
			if err != nil {
				t.Fatal(err)
			}
			if hasLine(log, id, trace) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("no line of %s has both the request id %s and the trace %s", service, id, trace)
			}
		}
	}
}

// hasLine reports whether one line contains both.
func hasLine(log []byte, id, trace string) bool {
	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(id)) && bytes.Contains(line, []byte(trace)) {
			return true
		}
	}
	return false
}
