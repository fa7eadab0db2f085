package mix

import (
	"math/rand/v2"
	"testing"
)

func TestOrdersAreValid(t *testing.T) {
	for name, m := range map[string]Mix{"uniform": Uniform, "hot": Hot, "carts": Carts} {
		r, lines := rand.New(rand.NewPCG(1, 1)), map[int]bool{}
		for range 1000 {
			items, seen := m(r), map[int64]bool{}
			lines[len(items)] = true
			for _, i := range items {
				if i.ProductID < 1 || i.ProductID > Products || i.Quantity < 1 || seen[i.ProductID] {
					t.Fatalf("%s returned %v, want valid products, each once", name, items)
				}
				seen[i.ProductID] = true
			}
		}
		if want := map[string]int{"uniform": 1, "hot": 1, "carts": 10}[name]; len(lines) != want {
			t.Errorf("%s returned orders of %d different sizes, want %d", name, len(lines), want)
		}
	}
}
