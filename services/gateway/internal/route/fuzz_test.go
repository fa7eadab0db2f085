package route_test

import (
	"path"
	"testing"
)

func FuzzMatch(f *testing.F) {
	table := builtIn(f)
	for _, seed := range []string{"/products/7", "/stock/7/remove/3", "/stock/..", "//", "/./", "/auth/login", "", "/products/\x00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if m, known := table.Match("GET", p); known && (path.Clean(p) != p || m.Allow == "") {
			t.Fatalf("%q is taken for %+v", p, m)
		}
	})
}
