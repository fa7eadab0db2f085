package databasetest

import (
	"testing"

	"gorm.io/gorm"
)

// CheckCollations fails the test for each table and each column with text that has another collation
// than utf8mb4_bin, which compares bytes, and utf8mb4_unicode_520_ci, which ignores case and
// distinguishes emoji. MySQL and MariaDB have both; their default ones differ. The tables of goose
// are its own.
func CheckCollations(t testing.TB, db *gorm.DB) {
	t.Helper()
	var others []string
	err := db.WithContext(t.Context()).Raw(`
		SELECT CONCAT(table_name, ' ', table_collation) FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'
			AND table_collation NOT IN ('utf8mb4_bin', 'utf8mb4_unicode_520_ci')
		UNION ALL
		SELECT CONCAT(table_name, '.', column_name, ' ', collation_name) FROM information_schema.columns
		WHERE table_schema = DATABASE() AND table_name NOT LIKE 'goose%'
			AND collation_name NOT IN ('utf8mb4_bin', 'utf8mb4_unicode_520_ci')`).Scan(&others).Error
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range others {
		t.Errorf("%s depends on the server", other)
	}
}
