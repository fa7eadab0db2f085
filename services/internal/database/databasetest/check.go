package databasetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Exception is a statement that may read much.
type Exception struct {
	// Task that it runs for, and a part of its text.
	Task, Part string
	// Most rows that it may read, and whether it may look at every one of a table.
	Most  int64
	Scans bool
	// Why that is bounded, or worth it.
	Why string
}

// Check fails the test for each statement that scans a table or reads much of it, unless
// an exception allows it; for exceptions that nothing needs; and for tasks that issued no
// statement, unless they are silent: every operation has to be called.
func (r *Recorder) Check(t testing.TB, silent []string, long ...Exception) {
	t.Helper()
	small, err := r.small(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range small {
		t.Error(s)
	}
	r.covers(t, silent)
	needed, told := map[Exception]bool{}, map[string]bool{}
	for _, s := range r.recorded() {
		p, err := r.plan(t.Context(), s)
		if err != nil {
			t.Fatalf("%s: %v", s.Task, err)
		}
		fault := p.fault(mostRead, false)
		if x, ok := exception(long, s); ok && fault != "" {
			needed[x], fault = true, p.fault(x.Most, x.Scans)
		}
		if fault != "" && !told[s.SQL] {
			told[s.SQL] = true
			t.Errorf("%s: %s\n%s\n%s\n%s", s.Task, fault, p, s.SQL, shown(s.Arguments))
		}
	}
	for _, x := range long {
		if !needed[x] {
			t.Errorf("%s: %q is an exception, and needs none", x.Task, x.Part)
		}
	}
}

// exception gives the first that is made for a statement.
func exception(long []Exception, s Statement) (Exception, bool) {
	for _, x := range long {
		if x.Task == s.Task && strings.Contains(s.SQL, x.Part) {
			return x, true
		}
	}
	return Exception{}, false
}

// covers fails the test for tasks without a statement.
func (r *Recorder) covers(t testing.TB, silent []string) {
	t.Helper()
	done := map[string]bool{}
	for _, s := range r.recorded() {
		done[s.Task] = true
	}
	for _, task := range slices.Concat(r.operations, r.others) {
		switch expected := !slices.Contains(silent, task); {
		case done[task] && !expected:
			t.Errorf("%s should need no database, and issued a statement", task)
		case !done[task] && expected:
			t.Errorf("%s issued no statement: call it in this test", task)
		}
	}
}

func shown(arguments []any) string {
	text := fmt.Sprint(arguments)
	return text[:min(len(text), 300)]
}
