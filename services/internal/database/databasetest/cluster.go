package databasetest

import (
	"testing"

	"gorm.io/gorm"
)

// CheckReplicable fails the test for each table that a cluster does not replicate: one of another engine
// than InnoDB, or without a primary key.
func CheckReplicable(t testing.TB, db *gorm.DB) {
	t.Helper()
	var others []string
	err := db.WithContext(t.Context()).Raw(`
		SELECT CONCAT(t.table_name, ' of ', t.engine) FROM information_schema.tables t
		LEFT JOIN information_schema.table_constraints c
			ON c.table_schema = t.table_schema AND c.table_name = t.table_name AND c.constraint_type = 'PRIMARY KEY'
		WHERE t.table_schema = DATABASE() AND (t.engine != 'InnoDB' OR c.constraint_name IS NULL)`).Scan(&others).Error
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range others {
		t.Errorf("the table %s is not of InnoDB or has no primary key, which a cluster requires", other)
	}
}
