package main

import (
	"bytes"
	"strings"
	"testing"

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
