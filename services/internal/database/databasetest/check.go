package databasetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Exception allows statements to read more rows than Check does.
type Exception struct {
	// Task is the task of the statements, SQL a part of their text.
	Task, SQL string
	// MaxRows is the number of rows that a statement may read.
	MaxRows int64
	// AllowScan allows a statement to scan a table.
	AllowScan bool
	// MariaDBOnly reports whether MySQL may do without the exception, because its plan is better.
	MariaDBOnly bool
	// Reason is why the statement is acceptable.
	Reason string
}

// Check fails the test for each statement that scans a table or reads more than 1200 rows
// and that no exception matches, for exceptions that match no such statement, and for
// tasks that issued no statement, except for those in withoutStatements. So a test has to
// call every operation.
func (r *Recorder) Check(t testing.TB, withoutStatements []string, exceptions ...Exception) {
	t.Helper()
	small, err := r.smallTables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range small {
		t.Error(s)
	}
	r.checkCoverage(t, withoutStatements)
	used, reported := map[Exception]bool{}, map[string]bool{}
	for _, s := range r.recorded() {
		p, err := r.plan(t.Context(), s)
		if err != nil {
			t.Fatalf("%s: %v", s.Task, err)
		}
		problems := p.problems(maxRowsRead, false)
		if x, ok := findException(exceptions, s); ok && problems != "" {
			used[x], problems = true, p.problems(x.MaxRows, x.AllowScan)
		}
		if problems != "" && !reported[s.SQL] {
			reported[s.SQL] = true
			t.Errorf("%s: %s\n%s\n%s\n%s", s.Task, problems, p, s.SQL, truncate(s.Arguments))
		}
	}
	var version string
	if err := r.pool.QueryRowContext(t.Context(), "SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	for _, x := range exceptions {
		if !used[x] && (!x.MariaDBOnly || strings.Contains(version, "MariaDB")) {
			t.Errorf("%s: the exception for %q is not needed", x.Task, x.SQL)
		}
	}
}

// findException returns the first exception that matches a statement.
func findException(exceptions []Exception, s Statement) (Exception, bool) {
	for _, x := range exceptions {
		if x.Task == s.Task && strings.Contains(s.SQL, x.SQL) {
			return x, true
		}
	}
	return Exception{}, false
}

// checkCoverage fails the test for tasks that issued no statement, and for tasks in
// withoutStatements that issued one.
func (r *Recorder) checkCoverage(t testing.TB, withoutStatements []string) {
	t.Helper()
	done := map[string]bool{}
	for _, s := range r.recorded() {
		done[s.Task] = true
	}
	for _, task := range slices.Concat(r.operations, r.tasks) {
		switch expected := !slices.Contains(withoutStatements, task); {
		case done[task] && !expected:
			t.Errorf("%s issued a statement, but is expected to issue none", task)
		case !done[task] && expected:
			t.Errorf("%s issued no statement: call it in this test", task)
		}
	}
}

func truncate(arguments []any) string {
	text := fmt.Sprint(arguments)
	return text[:min(len(text), 300)]
}
