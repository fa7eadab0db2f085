package main

import (
	"bytes"
	"fmt"
	"os"

	"ecommerce-stack.dev/services/gateway/internal/route"
)

// routesFile is the table that ROUTES_FILE holds, or the one built in.
type routesFile struct {
	path string
	body []byte
}

func (f *routesFile) first() (*route.Table, error) {
	if f.path == "" {
		return route.Parse(route.BuiltIn())
	}
	var table *route.Table
	_, err := f.changed(func(t *route.Table) { table = t })
	return table, err
}

// changed reads the file and gives use the table if it is another one.
func (f *routesFile) changed(use func(*route.Table)) (bool, error) {
	body, err := os.ReadFile(f.path)
	if err != nil {
		return false, fmt.Errorf("read ROUTES_FILE: %w", err)
	}
	if bytes.Equal(body, f.body) {
		return false, nil
	}
	table, err := route.Parse(body)
	if err != nil {
		return false, err
	}
	f.body = body
	use(table)
	return true, nil
}
