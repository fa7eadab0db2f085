package contract

import (
	"slices"
	"strconv"
)

// hasCode checks the code of a problem.
func hasCode(want string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		if got := a.field(w, "code"); got != want {
			w.t.Errorf("code %q, want %q\n%s", got, want, truncate(a.body))
		}
	}
}

// hasErrorsAt checks that a problem has an error at each location.
func hasErrorsAt(locations ...string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		var p problem
		a.into(w, &p)
		var got []string
		for _, e := range p.Errors {
			got = append(got, e.Location)
		}
		for _, want := range locations {
			if !slices.Contains(got, want) {
				w.t.Errorf("errors at %v, want one at %s", got, want)
			}
		}
	}
}

// hasField checks the value of a member as text.
func hasField(name, want string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		if got := a.field(w, name); got != want {
			w.t.Errorf("%s is %q, want %q\n%s", name, got, want, truncate(a.body))
		}
	}
}

// hasFields checks that members are present and not empty.
func hasFields(names ...string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		for _, name := range names {
			if a.field(w, name) == "" {
				w.t.Errorf("%s is missing\n%s", name, truncate(a.body))
			}
		}
	}
}

// hasHeader checks the value of a header; "" means that it is absent.
func hasHeader(name, want string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		if got := a.header.Get(name); got != want {
			w.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// hasHeaders checks that headers are present.
func hasHeaders(names ...string) check {
	return func(w *testContext, a *response) {
		w.t.Helper()
		for _, name := range names {
			if a.header.Get(name) == "" {
				w.t.Errorf("no %s", name)
			}
		}
	}
}

// mustField returns a member of the response and fails the test if it is absent.
func mustField(w *testContext, a *response, name string) any {
	w.t.Helper()
	var object map[string]any
	a.into(w, &object)
	if object[name] == nil {
		w.t.Fatalf("%s is missing\n%s", name, truncate(a.body))
	}
	return object[name]
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
