package databasetest

import (
	"io/fs"
	"log/slog"
	"testing"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
)

// Open migrates the schema of dsn and returns a connection pool for it, which is closed at the
// end of the test.
func Open(t testing.TB, dsn string, migrations fs.FS) *gorm.DB {
	t.Helper()
	if err := database.Migrate(t.Context(), dsn, migrations, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(db) })
	return db
}
