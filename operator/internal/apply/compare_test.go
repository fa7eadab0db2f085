package apply

import "testing"

func TestContainsIgnoresOnlyFieldsAddedByTheServer(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	type l = []any
	cases := []struct {
		name          string
		live, desired any
		want          bool
	}{
		{"equal", m{"a": int64(1)}, m{"a": int64(1)}, true},
		{"numbers of two kinds", m{"a": float64(1)}, m{"a": int64(1)}, true},
		{"the server added a field", m{"a": "x", "b": "y"}, m{"a": "x"}, true},
		{"a field in a list was added", m{"a": l{m{"n": "x", "d": "y"}}}, m{"a": l{m{"n": "x"}}}, true},
		{"an empty map was dropped", m{}, m{"a": m{}}, true},
		{"an empty list was dropped", m{}, m{"a": l{}}, true},
		{"another value", m{"a": "x"}, m{"a": "y"}, false},
		{"a missing field", m{}, m{"a": "x"}, false},
		{"a longer list", m{"a": l{"x", "y"}}, m{"a": l{"x"}}, false},
		{"a shorter list", m{"a": l{}}, m{"a": l{"x"}}, false},
		{"another order", m{"a": l{"x", "y"}}, m{"a": l{"y", "x"}}, false},
		{"a map in place of a value", m{"a": m{}}, m{"a": "x"}, false},
	}
	for _, c := range cases {
		if got := contains(c.live, c.desired); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}
