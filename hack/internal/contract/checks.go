package contract

import (
	"slices"
	"strconv"
)

// code demands the code of a problem.
func code(want string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		if got := a.field(w, "code"); got != want {
			w.t.Errorf("code %q, want %q\n%s", got, want, shorten(a.body))
		}
	}
}

// at demands a problem with an invalid value at each location.
func at(locations ...string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		var p problem
		a.into(w, &p)
		var got []string
		for _, e := range p.Errors {
			got = append(got, e.Location)
		}
		for _, want := range locations {
			if !slices.Contains(got, want) {
				w.t.Errorf("errors are at %v, want one at %s", got, want)
			}
		}
	}
}

// has demands a member with a value, as it prints.
func has(name, want string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		if got := a.field(w, name); got != want {
			w.t.Errorf("%s is %q, want %q\n%s", name, got, want, shorten(a.body))
		}
	}
}

// filled demands members that are there.
func filled(names ...string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		for _, name := range names {
			if a.field(w, name) == "" {
				w.t.Errorf("%s is missing\n%s", name, shorten(a.body))
			}
		}
	}
}

// header demands a header; with an empty value, that it is absent.
func header(name, want string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		if got := a.header.Get(name); got != want {
			w.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// sends demands headers with any value.
func sends(names ...string) check {
	return func(w *world, a *answer) {
		w.t.Helper()
		for _, name := range names {
			if a.header.Get(name) == "" {
				w.t.Errorf("no %s", name)
			}
		}
	}
}

// mustField gives a member of an answer.
func mustField(w *world, a *answer, name string) any {
	w.t.Helper()
	var object map[string]any
	a.into(w, &object)
	if object[name] == nil {
		w.t.Fatalf("%s is missing\n%s", name, shorten(a.body))
	}
	return object[name]
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
