package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/client"
)

func TestLettersHaveALineEach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		letters []client.DeadLetter
		want    []string
	}{
		{nil, []string{"There are no dead letters."}},
		{[]client.DeadLetter{
			{ID: 7, Queue: "stock.commands", Reason: "rejected", Body: "a\n\x1bb"},
			{ID: 8, Queue: "sales.events", Reason: "delivery_limit", Body: strings.Repeat("x", 200)},
		}, []string{
			`ID   QUEUE            REASON           BODY`,
			`7    stock.commands   rejected         "a\n\x1bb"`,
			`8    sales.events     delivery_limit   "` + strings.Repeat("x", 120) + `"`,
		}},
	} {
		var out bytes.Buffer
		if err := printLetters(&out, c.letters); err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(strings.TrimSpace(out.String()), "\n"); strings.Join(got, "|") != strings.Join(c.want, "|") {
			t.Errorf("printed %q, want %q", got, c.want)
		}
	}
}

func TestFlagsSelectDeadLetters(t *testing.T) {
	t.Parallel()
	var received string
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/auth/login" {
			_, _ = w.Write([]byte(`{"accessToken":"x"}`))
			return
		}
		received = r.Method + " " + r.URL.Path + " " + string(bytes.TrimSpace(body))
		_, _ = w.Write([]byte(`{"ids":[3,5],"skipped":1,"more":true}`))
	}))
	t.Cleanup(store.Close)
	for flags, want := range map[string][2]string{
		"--redrive": {`{"limit":100}`, "2 dead letters: redriven [3 5]; 1 are incomplete; more match: run the command again"},
		"--redrive --dry-run --limit=7 --type=SaleCreated --queue=q --reason=rejected": {
			`{"queue":"q","eventType":"SaleCreated","reason":"rejected","limit":7,"dryRun":true}`, "2 dead letters: would be redriven [3 5]"},
		"--redrive --older-than=1h": {`{"diedBefore":"`, "2 dead letters"},
	} {
		var o options
		parser, err := kong.New(&o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append(strings.Fields(flags), "--url="+store.URL, "--email=e", "--password=p")); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := run(t.Context(), o, &out); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(received, "POST /admin/dead-letters/redrive "+want[0]) || !strings.HasPrefix(out.String(), want[1]) {
			t.Errorf("%s: sent %s and printed %q, want %v", flags, received, out.String(), want)
		}
	}
	for _, flags := range []string{"--type=x", "--redrive --older-than=-1h"} {
		parser, err := kong.New(&options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(strings.Fields(flags)); err == nil {
			t.Errorf("%s is accepted", flags)
		}
	}
}
