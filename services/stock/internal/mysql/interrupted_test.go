package mysql_test

import (
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/stock/internal/mysql"
)

func TestInterruptedMigrationsAreContinued(t *testing.T) {
	t.Parallel()
	databasetest.CheckInterruptedMigrations(t, testenv.Schema(t), testenv.Schema(t), mysql.Migrations())
}
