package mysql_test

import (
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/auth/internal/mysql"
	"ecommerce-stack.dev/services/internal/database/databasetest"
)

func TestInterruptedMigrationsAreContinued(t *testing.T) {
	t.Parallel()
	databasetest.CheckInterruptedMigrations(t, testenv.Schema(t), testenv.Schema(t), mysql.Migrations())
}
