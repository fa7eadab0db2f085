package databasetest

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gorm.io/gorm"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
)

// filled returns a schema with a table of Rows rows, and its recorder.
func filled(t *testing.T) (*gorm.DB, *Recorder) {
	t.Helper()
	db, err := database.Open(testenv.Schema(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	err = db.Exec("CREATE TABLE things (id BIGINT PRIMARY KEY, half BIGINT, own BIGINT, size BIGINT, KEY things_by_half (half), KEY things_by_own (own))").Error
	if err != nil {
		t.Fatal(err)
	}
	return db, Record(t, db, "INSERT INTO things SELECT n, n % 2, n, n FROM numbers")
}

func TestScansAndLargeLookupsAreReported(t *testing.T) {
	t.Parallel()
	_, r := filled(t)
	for statement, want := range map[string]string{
		"SELECT * FROM things WHERE size = ?":                              "scans things",
		"SELECT * FROM things WHERE size > ? LIMIT 10":                     "scans things",
		"SELECT half FROM things WHERE id > ? ORDER BY size LIMIT 10":      "reads 20000 rows",
		"DELETE FROM things WHERE size = ?":                                "scans things",
		"UPDATE things SET half = 3 WHERE size = ?":                        "scans things",
		"SELECT COUNT(*) FROM things WHERE half < ? + 10":                  "reads 20001 rows",
		"SELECT * FROM things FORCE INDEX (things_by_half) WHERE half = ?": "reads 10001 rows",
		"SELECT * FROM things WHERE own = ?":                               "",
		"SELECT * FROM things WHERE id > ? ORDER BY id LIMIT 10":           "",
		"SELECT * FROM things WHERE half < ? + 10 ORDER BY id LIMIT 9":     "",
		"DELETE FROM things WHERE own = ? LIMIT 10":                        "",
		"INSERT INTO things (id) VALUES (-?)":                              "",
	} {
		p, err := r.plan(t.Context(), Statement{SQL: statement, Arguments: []any{1}})
		if err != nil {
			t.Errorf("%s: %v", statement, err)
			continue
		}
		if got := p.problems(maxRowsRead, false); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q\n%s", statement, got, want, p)
		}
	}
}

// failures records the failures of a test.
type failures struct {
	testing.TB
	messages []string
}

func (f *failures) Error(args ...any) { f.messages = append(f.messages, fmt.Sprint(args...)) }
func (f *failures) Errorf(format string, args ...any) {
	f.messages = append(f.messages, fmt.Sprintf(format, args...))
}

func TestUncalledOperationsAndUnneededExceptionsAreReported(t *testing.T) {
	t.Parallel()
	db, r := filled(t)
	h := r.Handler(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"paths":{"/things/{id}":{"get":{"operationId":"get-thing"}},"/things":{"post":{"operationId":"add-thing"}}}}`))
	}))
	if h == nil {
		t.Fatal("no handler")
	}
	r.Run(t, "in a transaction", func() error {
		return db.Transaction(func(tx *gorm.DB) error { return tx.Exec("DELETE FROM things WHERE size = ?", -1).Error })
	})
	exception := Exception{Task: "in a transaction", SQL: "DELETE", MaxRows: 2 * Rows, AllowScan: true}
	unneeded := Exception{Task: "in a transaction", SQL: "UPDATE"}
	for _, c := range []struct {
		withoutStatements []string
		exceptions        []Exception
		want              []string
	}{
		{[]string{"get-thing", "add-thing"}, []Exception{exception}, nil},
		{[]string{"get-thing"}, []Exception{exception}, []string{"add-thing issued no statement"}},
		{[]string{"get-thing", "add-thing", "in a transaction"}, []Exception{exception}, []string{"expected to issue none"}},
		{[]string{"get-thing", "add-thing"}, nil, []string{"scans things"}},
		{[]string{"get-thing", "add-thing"}, []Exception{exception, unneeded}, []string{"is not needed"}},
	} {
		f := &failures{TB: t}
		r.Check(f, c.withoutStatements, c.exceptions...)
		if len(f.messages) != len(c.want) || len(c.want) == 1 && !strings.Contains(f.messages[0], c.want[0]) {
			t.Errorf("withoutStatements %v, exceptions %v: got %q, want %q", c.withoutStatements, c.exceptions, f.messages, c.want)
		}
	}
}
