package money_test

import (
	"errors"
	"testing"

	"ecommerce-stack.dev/services/internal/money"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"19.99", "0", "-1.5", "9999999.99", "1e9", ".5", "5.", "", "+1", "000000000000000000.00", "1_000", "٣"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := money.Parse(s)
		if err != nil {
			if !errors.Is(err, money.ErrInvalid) {
				t.Fatalf("Parse(%q) = %v, want ErrInvalid", s, err)
			}
			return
		}
		again, err := money.Parse(a.String())
		if err != nil || !again.Equal(a) || len(a.String()) > 22 {
			t.Fatalf("Parse(%q) = %s, which is parsed as %s, %v", s, a, again, err)
		}
	})
}
