package event_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"ecommerce-stack.dev/services/event"
)

// FuzzParse decodes any bytes as an envelope and as each type of data. Each call succeeds
// or returns ErrInvalid, and a decoded price can be rounded.
func FuzzParse(f *testing.F) {
	golden, err := filepath.Glob("testdata/*.json")
	if err != nil || len(golden) == 0 {
		f.Fatalf("no golden files: %v", err)
	}
	for _, file := range golden {
		body, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
		f.Add(body[:len(body)/2])
	}
	f.Add([]byte(`{"specversion":"1.0","id":"0197c0de-0000-7000-8000-000000000001","type":"SaleItemsReservedResponse","subject":"1","dataversion":"1",` +
		`"data":{"saleId":1,"itemsReserved":[{"productId":1,"quantity":1,"price":"1e500000000"}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := event.Parse(body)
		if err != nil {
			if !errors.Is(err, event.ErrInvalid) {
				t.Fatalf("Parse(%q): %v, want ErrInvalid", body, err)
			}
			return
		}
		for _, decode := range []func(event.Envelope) error{
			decodeAndRound[event.SaleCreated], decodeAndRound[event.SaleItemsReservedResponse], decodeAndRound[event.SaleCreationFailed],
			decodeAndRound[event.SaleConfirmed], decodeAndRound[event.SaleCanceled], decodeAndRound[event.StockReleased],
			decodeAndRound[event.StockCanceled], decodeAndRound[event.ProductChanged],
		} {
			if err := decode(e); err != nil && !errors.Is(err, event.ErrInvalid) {
				t.Fatalf("Decode(%q): %v, want ErrInvalid", body, err)
			}
		}
	})
}

func decodeAndRound[T event.Data](e event.Envelope) error {
	data, err := event.Decode[T](e)
	if reserved, ok := any(data).(event.SaleItemsReservedResponse); ok && err == nil {
		for _, it := range reserved.ItemsReserved {
			it.Price.Round(2)
		}
	}
	return err
}
