// Package page holds lists that are read a page at a time: the query parameters,
// the form of a page, and opaque cursors.
//
// A cursor is the sort key of the last item seen, so rows that come or go between
// two pages neither repeat nor hide others.
package page

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"ecommerce-stack.dev/services/internal/failure"
)

// Limits of a page.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Query is embedded in the input of an operation that lists.
type Query struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many items a page may have" example:"50"`
	Cursor string `query:"cursor" maxLength:"512" doc:"The nextCursor of the page before" example:"eyJ2IjoxLCJrIjoidXNlcnM6aWQiLCJzIjo1MH0"`
}

// Of is a page of items.
type Of[T any] struct {
	Items      []T    `json:"items" doc:"The items of this page"`
	NextCursor string `json:"nextCursor,omitempty" doc:"Cursor of the next page; absent on the last" example:"eyJ2IjoxLCJrIjoidXNlcnM6aWQiLCJzIjo1MH0"`
}

// Cut makes a page of rows that were read with a limit one higher than the page's:
// the row too many says that there is a next page. kind and key make its cursor.
func Cut[T, K any](rows []T, limit int, kind string, key func(T) K) (Of[T], error) {
	if len(rows) <= limit {
		if rows == nil {
			rows = []T{}
		}
		return Of[T]{Items: rows}, nil
	}
	rows = rows[:limit]
	next, err := Encode(kind, key(rows[limit-1]))
	return Of[T]{Items: rows, NextCursor: next}, err
}

// Map changes the items of a page and keeps its cursor.
func Map[T, U any](p Of[T], change func(T) U) Of[U] {
	out := Of[U]{Items: make([]U, len(p.Items)), NextCursor: p.NextCursor}
	for i, item := range p.Items {
		out.Items[i] = change(item)
	}
	return out
}

const version = 1

type cursor struct {
	Version int             `json:"v"`
	Kind    string          `json:"k"`
	Key     json.RawMessage `json:"s"`
}

// Encode makes a cursor of a sort key. kind names the list and its order, so that
// a cursor of one is refused by another.
func Encode[K any](kind string, key K) (string, error) {
	raw, err := json.Marshal(key)
	if err != nil {
		return "", fmt.Errorf("encode a cursor of %s: %w", kind, err)
	}
	body, err := json.Marshal(cursor{Version: version, Kind: kind, Key: raw})
	if err != nil {
		return "", fmt.Errorf("encode a cursor of %s: %w", kind, err)
	}
	return base64.RawURLEncoding.EncodeToString(body), nil
}

// Decode reads a cursor that Encode made for the same kind. An empty cursor is the
// beginning: ok is false. Anything else is invalid at "query.cursor".
func Decode[K any](kind, text string) (key K, ok bool, err error) {
	if text == "" {
		return key, false, nil
	}
	if err := decode(kind, text, &key); err != nil {
		return key, false, failure.Invalid("query.cursor", "%s", err.Error())
	}
	return key, true, nil
}

var errCursor = errors.New("is not a cursor that this service made")

func decode(kind, text string, key any) error {
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errCursor
	}
	var c cursor
	if strict(body, &c) != nil || c.Version != version || len(c.Key) == 0 {
		return errCursor
	}
	if c.Kind != kind {
		return errors.New("is a cursor of another list or order")
	}
	if strict(c.Key, key) != nil {
		return errCursor
	}
	return nil
}

func strict(body []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errCursor
	}
	return nil
}
