package database

import "strings"

// Placeholders returns the placeholders of a multi-row INSERT, such as "(?,?),(?,?)". gorm's
// own form needs a struct for each table, and reflection for each row.
func Placeholders(rows, columns int) string {
	row := "(" + strings.Repeat(",?", columns)[1:] + ")"
	return strings.Repeat(","+row, rows)[1:]
}
