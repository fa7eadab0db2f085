package database

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestMigrationsAreSplitIntoStatements(t *testing.T) {
	t.Parallel()
	got, err := splitStatements("-- A header.\n\n-- +goose Up\n-- A reason.\nCREATE TABLE a (\n    -- A column.\n    n INT\n);\n\nDROP TABLE b;\n-- +goose Down\nDROP TABLE a;\n")
	if diff := cmp.Diff([]string{"CREATE TABLE a (\n    n INT\n)", "DROP TABLE b"}, got); diff != "" || err != nil {
		t.Errorf("error %v, statements (-want +got):\n%s", err, diff)
	}
	for name, text := range map[string]string{
		"00001_a.sql": "CREATE TABLE a (n INT);\n",
		"00001_b.sql": "-- +goose Up\n-- Nothing.\n",
		"first.sql":   "-- +goose Up\nDROP TABLE a;\n",
	} {
		if _, err := readMigrations(fstest.MapFS{name: {Data: []byte(text)}}); err == nil {
			t.Errorf("%s with %q was accepted", name, text)
		}
	}
}
