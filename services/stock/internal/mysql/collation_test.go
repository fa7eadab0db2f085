package mysql_test

import (
	"testing"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database/databasetest"
	"ecommerce-stack.dev/services/stock/internal/mysql"
)

func TestTextIsComparedInTheSameWayOnEveryServer(t *testing.T) {
	t.Parallel()
	databasetest.CheckCollations(t, databasetest.Open(t, testenv.Schema(t), mysql.Migrations()))
}

func TestTablesAreReplicatedByClusters(t *testing.T) {
	t.Parallel()
	databasetest.CheckReplicable(t, databasetest.Open(t, testenv.Schema(t), mysql.Migrations()))
}
