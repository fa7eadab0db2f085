// Package event is the only vocabulary that crosses a service border: the events
// and their wire form, and the RabbitMQ topology that carries them.
//
// An event travels as a CloudEvents 1.0 JSON document. Its type names the Go type
// of its data; its subject and the AMQP correlation id are the sale it is about
// (the product, for ProductChanged). The golden files in testdata pin the form:
// a field may be added, none may be renamed or removed within a version.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// Names of the events; each is also the routing key and the AMQP type property.
const (
	SaleCreatedType               = "SaleCreated"
	SaleItemsReservedResponseType = "SaleItemsReservedResponse"
	SaleCreationFailedType        = "SaleCreationFailed"
	SaleConfirmedType             = "SaleConfirmed"
	SaleCanceledType              = "SaleCanceled"
	StockReleasedType             = "StockReleased"
	StockCanceledType             = "StockCanceled"
	ProductChangedType            = "ProductChanged"
)

// Reasons of a SaleCanceled.
const (
	ReasonCustomer = "customer"
	ReasonExpired  = "expired"
)

// ReasonInsufficientStock is the reason of a SaleCreationFailed whose products
// exist but fall short; ReasonUnknownProduct of one that names a product which
// does not exist or has left the catalogue.
const (
	ReasonInsufficientStock = "insufficient_stock"
	ReasonUnknownProduct    = "unknown_product"
)

// Item is a line of a sale.
type Item struct {
	ProductID int64 `json:"productId"`
	Quantity  int64 `json:"quantity"`
}

// PricedItem is a line with the unit price it was reserved at.
type PricedItem struct {
	ProductID int64           `json:"productId"`
	Quantity  int64           `json:"quantity"`
	Price     decimal.Decimal `json:"price"`
}

// Shortage is a line that could not be reserved.
type Shortage struct {
	ProductID int64 `json:"productId"`
	Requested int64 `json:"requested"`
	Available int64 `json:"available"`
}

// SaleCreated asks stock to reserve all items of a sale, or none.
type SaleCreated struct {
	SaleID     int64  `json:"saleId"`
	CustomerID int64  `json:"customerId"`
	Items      []Item `json:"items"`
}

// SaleItemsReservedResponse says that every item is reserved, and at what price.
type SaleItemsReservedResponse struct {
	SaleID        int64        `json:"saleId"`
	CustomerID    int64        `json:"customerId"`
	ItemsReserved []PricedItem `json:"itemsReserved"`
}

// SaleCreationFailed says that nothing was reserved, and why.
type SaleCreationFailed struct {
	SaleID     int64      `json:"saleId"`
	CustomerID int64      `json:"customerId"`
	Reason     string     `json:"reason"`
	Shortages  []Shortage `json:"shortages"`
}

// SaleConfirmed lets the reserved goods leave the stock.
type SaleConfirmed struct {
	SaleID int64  `json:"saleId"`
	Items  []Item `json:"items"`
}

// SaleCanceled returns what the sale holds, now or when its SaleCreated arrives.
type SaleCanceled struct {
	SaleID int64  `json:"saleId"`
	Reason string `json:"reason"`
}

// StockReleased says that the goods of a confirmed sale left the stock.
type StockReleased struct {
	SaleID     int64     `json:"saleId"`
	Items      []Item    `json:"items"`
	ReleasedAt time.Time `json:"releasedAt"`
}

// StockCanceled says that the reservation of a canceled sale was returned.
type StockCanceled struct {
	SaleID int64  `json:"saleId"`
	Items  []Item `json:"items"`
}

// ProductChanged says that cached answers about a product are stale.
type ProductChanged struct {
	ProductID int64 `json:"productId"`
	Deleted   bool  `json:"deleted"`
}

// Data is implemented by every event's data.
type Data interface {
	// EventType is the name of the event.
	EventType() string
	// Key is what the event is about, in decimal: its sale, or its product.
	Key() string
}

func id(n int64) string { return strconv.FormatInt(n, 10) }

func (SaleCreated) EventType() string               { return SaleCreatedType }
func (SaleItemsReservedResponse) EventType() string { return SaleItemsReservedResponseType }
func (SaleCreationFailed) EventType() string        { return SaleCreationFailedType }
func (SaleConfirmed) EventType() string             { return SaleConfirmedType }
func (SaleCanceled) EventType() string              { return SaleCanceledType }
func (StockReleased) EventType() string             { return StockReleasedType }
func (StockCanceled) EventType() string             { return StockCanceledType }
func (ProductChanged) EventType() string            { return ProductChangedType }

func (e SaleCreated) Key() string               { return id(e.SaleID) }
func (e SaleItemsReservedResponse) Key() string { return id(e.SaleID) }
func (e SaleCreationFailed) Key() string        { return id(e.SaleID) }
func (e SaleConfirmed) Key() string             { return id(e.SaleID) }
func (e SaleCanceled) Key() string              { return id(e.SaleID) }
func (e StockReleased) Key() string             { return id(e.SaleID) }
func (e StockCanceled) Key() string             { return id(e.SaleID) }
func (e ProductChanged) Key() string            { return id(e.ProductID) }

// ContentType of every message (CloudEvents 1.0, JSON event format).
const ContentType = "application/cloudevents+json"

// SpecVersion is the CloudEvents version, DataVersion the version of our data.
const (
	SpecVersion = "1.0"
	DataVersion = "1"
)

// MaxBytes bounds an envelope: a sale of 100 lines takes less than 8 KiB.
const MaxBytes = 64 << 10

// Envelope is the wire form of an event.
type Envelope struct {
	SpecVersion     string          `json:"specversion"`
	ID              uuid.UUID       `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Subject         string          `json:"subject"`
	Time            time.Time       `json:"time"`
	DataContentType string          `json:"datacontenttype"`
	DataVersion     string          `json:"dataversion"`
	TraceParent     string          `json:"traceparent,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// ErrInvalid is wrapped by every refusal of Parse and Decode: the message can
// never be processed, however often it is delivered.
var ErrInvalid = errors.New("invalid event")

// New wraps data that service (auth, sales, stock) says at the given time.
// traceParent may be empty.
func New(service string, data Data, at time.Time, traceParent string) (Envelope, error) {
	eventID, err := uuid.NewV7()
	if err != nil {
		return Envelope{}, fmt.Errorf("make an event id: %w", err)
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return Envelope{}, fmt.Errorf("encode %s: %w", data.EventType(), err)
	}
	return Envelope{
		SpecVersion: SpecVersion, ID: eventID, Source: "/ecommerce-stack/" + service,
		Type: data.EventType(), Subject: data.Key(), Time: at.UTC(),
		DataContentType: "application/json", DataVersion: DataVersion,
		TraceParent: traceParent, Data: raw,
	}, nil
}

// Parse reads an envelope. It ignores unknown fields and refuses a version it
// does not know.
func Parse(body []byte) (Envelope, error) {
	var e Envelope
	if len(body) > MaxBytes {
		return e, fmt.Errorf("%w: %d bytes, at most %d are read", ErrInvalid, len(body), MaxBytes)
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch {
	case e.SpecVersion != SpecVersion:
		return e, fmt.Errorf("%w: specversion %q, want %q", ErrInvalid, e.SpecVersion, SpecVersion)
	case e.DataVersion != DataVersion:
		return e, fmt.Errorf("%w: dataversion %q, want %q", ErrInvalid, e.DataVersion, DataVersion)
	case e.ID == uuid.Nil:
		return e, fmt.Errorf("%w: no id", ErrInvalid)
	case e.Type == "":
		return e, fmt.Errorf("%w: no type", ErrInvalid)
	}
	return e, nil
}

// Decode reads the data of an envelope whose type is T's.
func Decode[T Data](e Envelope) (T, error) {
	var data T
	if e.Type != data.EventType() {
		return data, fmt.Errorf("%w: type %q, want %q", ErrInvalid, e.Type, data.EventType())
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fmt.Errorf("%w: data of %s: %w", ErrInvalid, e.Type, err)
	}
	if data.Key() == "0" || data.Key() != e.Subject {
		return data, fmt.Errorf("%w: %s about %q has data about %q", ErrInvalid, e.Type, e.Subject, data.Key())
	}
	if checked, ok := any(data).(interface{ check() error }); ok {
		if err := checked.check(); err != nil {
			return data, fmt.Errorf("%w: data of %s: %w", ErrInvalid, e.Type, err)
		}
	}
	return data, nil
}

func (e SaleCreated) check() error   { return checkItems(e.Items) }
func (e SaleConfirmed) check() error { return checkItems(e.Items) }

func checkItems(items []Item) error {
	for _, it := range items {
		if it.ProductID < 1 || it.Quantity < 1 {
			return fmt.Errorf("%d of product %d", it.Quantity, it.ProductID)
		}
	}
	return nil
}

// maxDigits of a price. What is computed with a decimal of a great exponent takes all
// memory, however short it is written.
const maxDigits = 20

func (e SaleItemsReservedResponse) check() error {
	for _, it := range e.ItemsReserved {
		if it.ProductID < 1 || it.Quantity < 1 {
			return fmt.Errorf("%d of product %d", it.Quantity, it.ProductID)
		}
		if exp := it.Price.Exponent(); exp < -2 || exp > 0 || it.Price.NumDigits() > maxDigits || it.Price.IsNegative() {
			return fmt.Errorf("the price of product %d is no amount of money", it.ProductID)
		}
	}
	return nil
}

// FirstID is the smallest id an event made at t or later can have: a UUIDv7 begins
// with its time in milliseconds (RFC 9562, section 5.7). So a table keyed by event
// id is in the order of time, and needs no index of its own to find old rows.
func FirstID(t time.Time) uuid.UUID {
	var first uuid.UUID
	ms := uint64(t.UnixMilli())
	for i := range 6 {
		first[i] = byte(ms >> (8 * (5 - i)))
	}
	return first
}
