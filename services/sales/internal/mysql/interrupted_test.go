package mysql_test

import (
	"log/slog"
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/sales/internal/mysql"
)

func TestInterruptedMigrationsAreContinued(t *testing.T) {
	t.Parallel()
	databasetest.CheckInterruptedMigrations(t, testenv.Schema(t), testenv.Schema(t), mysql.Migrations())
}

// TestMigrationInterruptedInEarlierReleaseIsContinued is about a release that did not record
// statements: its migration 00002 was interrupted after the first one.
func TestMigrationInterruptedInEarlierReleaseIsContinued(t *testing.T) {
	t.Parallel()
	dsn := testenv.Schema(t)
	db := databasetest.Open(t, dsn, migrationsBefore(t, "00002"))
	for _, statement := range []string{"DROP TABLE migration_statements",
		"ALTER TABLE sales DROP KEY sales_by_customer_status, ADD KEY sales_by_status (status, id)"} {
		if err := db.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := database.Migrate(t.Context(), dsn, mysql.Migrations(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec("SELECT running_until FROM requests").Error; err != nil {
		t.Errorf("the second statement was not executed: %v", err)
	}
}
