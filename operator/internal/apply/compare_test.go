package apply

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type m = map[string]any
type l = []any

func TestDifferencesIgnoreOnlyFieldsAddedByTheServer(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name          string
		live, desired m
		want          string
	}{
		{"equal", m{"a": int64(1)}, m{"a": int64(1)}, ""},
		{"numbers of two kinds", m{"a": float64(1)}, m{"a": int64(1)}, ""},
		{"the server added a field", m{"a": "x", "b": "y"}, m{"a": "x"}, ""},
		{"a field in a list was added", m{"a": l{m{"n": "x", "d": "y"}}}, m{"a": l{m{"n": "x"}}}, ""},
		{"an empty map was dropped", m{}, m{"a": m{}}, ""},
		{"an empty list was dropped", m{}, m{"a": l{}}, ""},
		{"another value", m{"a": "x"}, m{"a": "y"}, "[a]"},
		{"a missing field", m{}, m{"a": "x"}, "[a]"},
		{"a shorter list", m{"a": l{}}, m{"a": l{"x"}}, "[a]"},
		{"another order", m{"a": l{"x", "y"}}, m{"a": l{"y", "x"}}, "[a 0] [a 1]"},
		{"a map in place of a value", m{"a": m{}}, m{"a": "x"}, "[a]"},
		{"a value in place of a map", m{"a": "x"}, m{"a": m{}}, "[a]"},
		{"a value in place of a list", m{"a": "x"}, m{"a": l{}}, "[a]"},
		{"a longer list", m{"a": l{"x", "y"}}, m{"a": l{"x"}}, "-[a 1]"},
		{"a longer list without the desired element", m{"a": l{"y", "z"}}, m{"a": l{"x"}}, "[a]"},
		{"elements before and between", m{"env": l{m{"name": "x"}, m{"name": "a", "value": "2"}, m{"name": "y"}, m{"name": "b"}}},
			m{"env": l{m{"name": "a", "value": "1"}, m{"name": "b"}}}, "-[env 0] [env 1 value] -[env 2]"},
		{"an element without identity", m{"a": l{m{"from": "x"}, m{"to": "y"}}}, m{"a": l{m{"to": "y"}}}, "-[a 0]"},
		{"a key of a selector", m{"selector": m{"a": "x", "b": "y"}}, m{"selector": m{"a": "x"}}, "-[selector b]"},
		{"an expression of a selector", m{"selector": m{"matchLabels": m{}, "matchExpressions": l{m{}}}},
			m{"selector": m{"matchLabels": m{}}}, "-[selector matchExpressions]"},
		{"a file of a ConfigMap", m{"data": m{"a": "x", "b": "y"}}, m{"data": m{"a": "x"}}, "-[data b]"},
		{"a peer of a NetworkPolicy", m{"spec": m{"ingress": l{m{"ports": l{}, "from": l{m{}}}}}},
			m{"kind": "NetworkPolicy", "spec": m{"ingress": l{m{"ports": l{}}}}}, "[kind] -[spec ingress 0 from]"},
	}
	for _, c := range cases {
		got := ""
		for i, d := range differences(c.live, c.desired) {
			if i > 0 {
				got += " "
			}
			if d.surplus {
				got += "-"
			}
			got += fmt.Sprint(d.path)
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestWithoutSurplusKeepsDesiredElements(t *testing.T) {
	t.Parallel()
	desired := m{"selector": m{"a": "x"}, "env": l{m{"name": "a", "selector": m{}}, m{"name": "b"}}}
	live := m{
		"selector": m{"a": "x", "b": "y"}, "default": "kept",
		"env": l{m{"name": "x"}, m{"name": "y"}, m{"name": "a", "selector": m{"c": "z"}}, m{"name": "z"}, m{"name": "b", "default": "kept"}},
	}
	want := m{
		"selector": m{"a": "x"}, "default": "kept",
		"env": l{m{"name": "a", "selector": m{}}, m{"name": "b", "default": "kept"}},
	}
	if !withoutSurplus(live, differences(live, desired)) {
		t.Error("nothing was removed")
	}
	if diff := cmp.Diff(want, live); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if withoutSurplus(live, differences(live, desired)) {
		t.Error("something was removed from an object without surplus")
	}
}

func TestFingerprintIgnoresThePositionOfAdditionalElements(t *testing.T) {
	t.Parallel()
	desired := m{"env": l{m{"name": "a", "value": ""}, m{"name": "b"}}}
	text := func(live ...any) string {
		text, err := fingerprint(differences(m{"env": live}, desired))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	a, b, x, y := m{"name": "a"}, m{"name": "b"}, m{"name": "x"}, m{"name": "y"}
	if first, last := text(x, a, b), text(a, b, x); first == "" || first != last {
		t.Errorf("%q with the addition first, %q with it last", first, last)
	}
	if text(x, a, b) == text(y, a, b) || text(a, b) == text(x, a, b) {
		t.Error("another addition has the same fingerprint")
	}
	if got := text(m{"name": "a", "value": ""}, b); got != "" {
		t.Errorf("%q without a difference", got)
	}
}
