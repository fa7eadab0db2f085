package measure

import "testing"

func TestTwinAndPresent(t *testing.T) {
	for _, c := range []struct{ present, commit, twin string }{
		{"http/gateway-token", "561269c", "http/gateway-token@561269c"},
		{"shop/uniform", "", "shop/uniform"},
	} {
		if got := Twin(c.present, c.commit); got != c.twin {
			t.Errorf("the twin of %s at %q is %q, want %q", c.present, c.commit, got, c.twin)
		}
		if present, commit := Present(c.twin); present != c.present || commit != c.commit {
			t.Errorf("%s is %q at %q, want %q at %q", c.twin, present, commit, c.present, c.commit)
		}
	}
}
