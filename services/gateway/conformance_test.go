package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/authn/authntest"
)

// permitted are the cases of level MUST that the gateway does not pass, and why.
//
//   - "chunks: bare LF as the end": the HTTP library ends a trailer section at a bare LF if
//     a later request in its buffer ends with CRLF CRLF. A trailer section consists of
//     field lines, and a recipient may recognize a single LF as their terminator (RFC 9112,
//     section 2.2). Services cannot read it in another way: the gateway sends the body
//     with a Content-Length.
var permitted = map[string]bool{"chunks: bare LF as the end": true}

// TestHTTP1Conformance runs testdata/http1_conformance.py, which sends requests to the
// gateway and is its origin.
func TestHTTP1Conformance(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	origin := strconv.Itoa(port)
	p := start(t, "http://127.0.0.1:"+origin, authntest.New(t), "CACHE_TTL=0s")
	report := filepath.Join(t.TempDir(), "report.json")
	cmd := exec.Command("python3", "testdata/http1_conformance.py", "--origin", origin, "--target", "gateway="+p.addr, "--json", report)
	out, err := cmd.CombinedOutput()
	body, readErr := os.ReadFile(report)
	if readErr != nil {
		t.Fatalf("the program did not finish: %v\n%s", err, out)
	}
	var rows []struct {
		Case, Sent, Level, Allowed, Rule string
		Got                              map[string]struct {
			Outcome, Responses, Note string
			Fine                     bool
		}
	}
	if err := json.Unmarshal(body, &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) < 600 {
		t.Errorf("%d runs, want 600", len(rows))
	}
	failed := map[string]bool{}
	for _, row := range rows {
		got := row.Got["gateway"]
		if row.Level != "MUST" && row.Level != "OWN" || got.Fine {
			continue
		}
		failed[row.Case] = true
		if !permitted[row.Case] {
			t.Errorf("%s, sent %s: got %s (%s), want one of %s by %s; %s", row.Case, row.Sent, got.Outcome, got.Responses, row.Allowed, row.Rule, got.Note)
		}
	}
	for name := range permitted {
		if !failed[name] {
			t.Errorf("%q passes: remove it from the permitted cases", name)
		}
	}
}
