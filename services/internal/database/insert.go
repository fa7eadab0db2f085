package database

import (
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// InsertRows inserts rows with one statement, or does nothing without rows. into is the table
// with its columns, such as "outbox (event_id, body)", appendValues appends the values of a row,
// and suffix is the end of the statement, such as ON DUPLICATE KEY UPDATE, or "". gorm's own
// form needs a struct for each table, and reflection for each row.
func InsertRows[T any](tx *gorm.DB, into string, rows []T, appendValues func(values []any, row T) ([]any, error), suffix string) error {
	if len(rows) == 0 {
		return nil
	}
	columns := strings.Count(into, ",") + 1
	values := make([]any, 0, columns*len(rows))
	for _, row := range rows {
		var err error
		if values, err = appendValues(values, row); err != nil {
			return err
		}
	}
	err := tx.Exec("INSERT INTO "+into+" VALUES "+Placeholders(len(rows), columns)+" "+suffix, values...).Error
	if err != nil {
		table, _, _ := strings.Cut(into, " ")
		return fmt.Errorf("insert %d rows into %s: %w", len(rows), table, err)
	}
	return nil
}

// Placeholders returns the placeholders of the values of rows, such as "(?,?),(?,?)".
func Placeholders(rows, columns int) string {
	row := "(" + strings.Repeat(",?", columns)[1:] + ")"
	return strings.Repeat(","+row, rows)[1:]
}
