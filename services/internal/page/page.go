// Package page implements the pagination of lists: the query parameters, the schema of a page, and
// opaque cursors.
//
// A cursor has the sort key of the last item of a page. Rows that are added or deleted between
// two requests therefore cause no other row to be repeated or omitted.
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

// Limits of a page, in items.
const (
	DefaultLimit = 50
	MaxLimit     = 200
)

// Query has the query parameters of an operation that returns a list.
type Query struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Maximum number of items in the page" example:"50"`
	Cursor string `query:"cursor" maxLength:"512" doc:"The nextCursor of the previous page" example:"eyJ2IjoxLCJrIjoidXNlcnM6aWQiLCJzIjo1MH0"`
}

// Page is a page of items.
type Page[T any] struct {
	Items      []T    `json:"items" doc:"The items of this page"`
	NextCursor string `json:"nextCursor,omitempty" doc:"Cursor of the next page; absent in the last page" example:"eyJ2IjoxLCJrIjoidXNlcnM6aWQiLCJzIjo1MH0"`
}

// Cut returns the first limit rows as a page. The rows have to be read with a limit of one more: if
// there are that many, the page has a NextCursor, of the given kind and the key of the last item. It
// returns an error if the key cannot be encoded.
func Cut[T, K any](rows []T, limit int, kind string, key func(T) K) (Page[T], error) {
	if len(rows) <= limit {
		if rows == nil {
			rows = []T{}
		}
		return Page[T]{Items: rows}, nil
	}
	rows = rows[:limit]
	next, err := Encode(kind, key(rows[limit-1]))
	return Page[T]{Items: rows, NextCursor: next}, err
}

// Map returns a page of the results of convert for each item, with the same cursor.
func Map[T, U any](p Page[T], convert func(T) U) Page[U] {
	out := Page[U]{Items: make([]U, len(p.Items)), NextCursor: p.NextCursor}
	for i, item := range p.Items {
		out.Items[i] = convert(item)
	}
	return out
}

// cursorVersion is the version of the encoding of cursors.
const cursorVersion = 1

type cursor struct {
	Version int             `json:"v"`
	Kind    string          `json:"k"`
	Key     json.RawMessage `json:"s"`
}

// Encode returns the cursor for a sort key. kind identifies the list and its order; Decode rejects a
// cursor of another kind. It returns an error if the key cannot be encoded.
func Encode[K any](kind string, key K) (string, error) {
	raw, err := json.Marshal(key)
	if err != nil {
		return "", fmt.Errorf("encode a cursor of kind %s: %w", kind, err)
	}
	body, err := json.Marshal(cursor{Version: cursorVersion, Kind: kind, Key: raw})
	if err != nil {
		return "", fmt.Errorf("encode a cursor of kind %s: %w", kind, err)
	}
	return base64.RawURLEncoding.EncodeToString(body), nil
}

// Decode returns the sort key of a cursor of Encode. ok is false for an empty cursor, which stands
// for the first page. Any other text is an error of failure.KindInvalid for "query.cursor".
func Decode[K any](kind, text string) (key K, ok bool, err error) {
	if text == "" {
		return key, false, nil
	}
	if err := decode(kind, text, &key); err != nil {
		return key, false, failure.Invalid("query.cursor", "%s", err.Error())
	}
	return key, true, nil
}

var errInvalidCursor = errors.New("expected the nextCursor of a page")

func decode(kind, text string, key any) error {
	body, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errInvalidCursor
	}
	var c cursor
	if unmarshalStrict(body, &c) != nil || c.Version != cursorVersion || len(c.Key) == 0 {
		return errInvalidCursor
	}
	if c.Kind != kind {
		return errors.New("expected a cursor of the same list and order")
	}
	if unmarshalStrict(c.Key, key) != nil {
		return errInvalidCursor
	}
	return nil
}

// unmarshalStrict decodes a single JSON value without unknown fields.
func unmarshalStrict(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errInvalidCursor
	}
	return nil
}
