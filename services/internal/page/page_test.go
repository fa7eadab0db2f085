package page_test

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/page"
)

type key struct {
	Name string `json:"n"`
	ID   int64  `json:"i"`
}

func TestCursorEncodesItsKey(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := key{Name: rapid.String().Draw(t, "name"), ID: rapid.Int64().Draw(t, "id")}
		want.Name = strings.ToValidUTF8(want.Name, "")
		text, err := page.Encode("products:name", want)
		if err != nil {
			t.Fatal(err)
		}
		got, ok, err := page.Decode[key]("products:name", text)
		if err != nil || !ok || got != want {
			t.Fatalf("got %+v, %v, %v, want %+v", got, ok, err, want)
		}
	})
}

func TestCursorOfAnotherKindOrFormIsInvalid(t *testing.T) {
	t.Parallel()
	valid, err := page.Encode("products:name", key{"a", 1})
	if err != nil {
		t.Fatal(err)
	}
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	for name, text := range map[string]string{
		"not base64":     "%%%",
		"not JSON":       raw("x"),
		"other version":  raw(`{"v":2,"k":"products:name","s":{"n":"a","i":1}}`),
		"other list":     raw(`{"v":1,"k":"sales","s":{"n":"a","i":1}}`),
		"no key":         raw(`{"v":1,"k":"products:name"}`),
		"other key":      raw(`{"v":1,"k":"products:name","s":[1]}`),
		"unknown field":  raw(`{"v":1,"k":"products:name","s":{"n":"a","i":1,"x":1}}`),
		"trailing data":  raw(`{"v":1,"k":"products:name","s":{"n":"a","i":1}} {}`),
		"trailing bytes": valid + "AAAA",
	} {
		_, _, err := page.Decode[key]("products:name", text)
		var f *failure.Error
		if !errors.As(err, &f) || f.Kind != failure.KindInvalid || f.Fields[0].Location != "query.cursor" {
			t.Errorf("%s: got %v, want query.cursor to be invalid", name, err)
		}
	}
	if _, ok, err := page.Decode[key]("products:name", ""); ok || err != nil {
		t.Errorf("no cursor: ok %v, err %v", ok, err)
	}
}

func TestPagesContainEachItemOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(0, 30).Draw(t, "total")
		limit := rapid.IntRange(1, 10).Draw(t, "limit")
		var seen []int
		after := 0
		for {
			var rows []int
			for n := after + 1; n <= total && len(rows) <= limit; n++ {
				rows = append(rows, n)
			}
			p, err := page.Cut(rows, limit, "n", func(n int) int { return n })
			if err != nil {
				t.Fatal(err)
			}
			if p.Items == nil {
				t.Fatal("items would be null")
			}
			seen = append(seen, p.Items...)
			next, ok, err := page.Decode[int]("n", p.NextCursor)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			after = next
		}
		if len(seen) != total || !slices.IsSorted(seen) {
			t.Fatalf("saw %v of %d", seen, total)
		}
	})
}
