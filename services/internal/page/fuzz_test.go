package page_test

import (
	"testing"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/internal/page"
)

func FuzzDecode(f *testing.F) {
	valid, err := page.Encode("products:name", key{"a", 1})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{valid, "", "eyJ2IjoxfQ", "%%%", valid + "A", valid[1:]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok, err := page.Decode[key]("products:name", text)
		if err != nil && failure.KindOf(err) != failure.KindInvalid {
			t.Fatalf("Decode(%q) = %v, want KindInvalid", text, err)
		}
		if !ok {
			return
		}
		again, err := page.Encode("products:name", got)
		if err != nil {
			t.Fatalf("%+v decoded from %q cannot be encoded: %v", got, text, err)
		}
		if back, _, err := page.Decode[key]("products:name", again); err != nil || back != got {
			t.Fatalf("%+v became %+v, %v", got, back, err)
		}
	})
}
