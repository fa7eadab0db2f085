package database

import (
	"errors"
	"fmt"
	"testing"

	"github.com/XSAM/otelsql"
	"github.com/go-sql-driver/mysql"
)

func TestSpanIsNamedAfterVerbAndTable(t *testing.T) {
	t.Parallel()
	for statement, want := range map[string]string{
		"INSERT INTO outbox (event_id, body) VALUES (?,?)":                          "INSERT outbox",
		"SELECT sale_id, at FROM reservations WHERE sale_id IN (?,?) FOR UPDATE":    "SELECT reservations",
		"SELECT * FROM `dead_letters` WHERE id < ? ORDER BY id DESC LIMIT 10":       "SELECT dead_letters",
		"UPDATE requests SET response = ? WHERE key_hash = ?":                       "UPDATE requests",
		"DELETE FROM outbox WHERE event_id IN (?)":                                  "DELETE outbox",
		"INSERT INTO sales (id) VALUES (?) ON DUPLICATE KEY UPDATE status = status": "INSERT sales",
		"SELECT @@auto_increment_increment":                                         "SELECT auto_increment_increment",
		"COMMIT":                                                                    "COMMIT",
	} {
		if got := spanName(t.Context(), otelsql.MethodConnExec, statement); got != want {
			t.Errorf("%s: got %q, want %q", statement, got, want)
		}
	}
	for method, want := range map[otelsql.Method]string{
		otelsql.MethodConnBeginTx: "BEGIN", otelsql.MethodTxCommit: "COMMIT", otelsql.MethodTxRollback: "ROLLBACK",
	} {
		if got := spanName(t.Context(), method, ""); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// TestErrorOfStatementIsRecordedByItsNumber has an error whose text contains a value.
func TestErrorOfStatementIsRecordedByItsNumber(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{&mysql.MySQLError{Number: 1062, Message: "Duplicate entry 'bob@example.com'"}, "[{db.response.status_code 1062} {error.type 1062}]"},
		{errors.New("bob@example.com"), "[{error.type _OTHER}]"},
	} {
		got := "["
		for i, a := range errorAttributes(c.err) {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("{%s %s}", a.Key, a.Value.AsString())
		}
		if got += "]"; got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
