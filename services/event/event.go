// Package event defines the events that services exchange, their wire format, and the
// RabbitMQ topology that routes them.
//
// An event is a CloudEvents 1.0 JSON document. Its type is the name of the Go type of
// its data. Its subject and its AMQP correlation id are the id of its sale, or of the
// product for ProductChanged. The golden files in testdata fix the format: within a
// version a field may be added, but none may be renamed or removed.
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

// Names of the events. Each is also a routing key and the AMQP type property.
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

// Reasons of a SaleCanceled event.
const (
	ReasonCustomer = "customer"
	ReasonExpired  = "expired"
)

// Reasons of a SaleCreationFailed event: fewer goods are available than were ordered, or
// a product does not exist or was deleted from the catalog.
const (
	ReasonInsufficientStock = "insufficient_stock"
	ReasonUnknownProduct    = "unknown_product"
)

// Item is a line of a sale.
type Item struct {
	ProductID int64 `json:"productId" doc:"Id of the product" example:"7"`
	Quantity  int64 `json:"quantity" doc:"Quantity of the product" example:"2"`
}

// PricedItem is a line with the unit price at which it was reserved.
type PricedItem struct {
	ProductID int64           `json:"productId" doc:"Id of the product" example:"7"`
	Quantity  int64           `json:"quantity" doc:"Quantity of the product" example:"2"`
	Price     decimal.Decimal `json:"price" pattern:"^\\d+(\\.\\d{1,2})?$" doc:"Unit price in the stack's currency" example:"19.99"`
}

// Shortage is a line that could not be reserved.
type Shortage struct {
	ProductID int64 `json:"productId" doc:"Id of the product" example:"7"`
	Requested int64 `json:"requested" doc:"Quantity that was ordered" example:"2"`
	Available int64 `json:"available" doc:"Quantity that was available" example:"1"`
}

// SaleCreated is the command to reserve all items of a sale, or none.
type SaleCreated struct {
	SaleID     int64  `json:"saleId" doc:"Id of the sale" example:"42"`
	CustomerID int64  `json:"customerId" doc:"Id of the client who placed the order" example:"5"`
	Items      []Item `json:"items" doc:"Lines of the sale, one per product"`
	// Repeated reports that sales has no response to this command. Stock then responds again
	// if it has applied the command before.
	Repeated bool `json:"repeated,omitempty" doc:"Whether the command was published before without a response" example:"true"`
}

// SaleItemsReservedResponse reports that every item is reserved, with its price.
type SaleItemsReservedResponse struct {
	SaleID        int64        `json:"saleId" doc:"Id of the sale" example:"42"`
	CustomerID    int64        `json:"customerId" doc:"Id of the client who placed the order" example:"5"`
	ItemsReserved []PricedItem `json:"itemsReserved" doc:"Lines of the sale with their prices"`
}

// SaleCreationFailed reports that nothing was reserved, with the reason.
type SaleCreationFailed struct {
	SaleID     int64      `json:"saleId" doc:"Id of the sale" example:"42"`
	CustomerID int64      `json:"customerId" doc:"Id of the client who placed the order" example:"5"`
	Reason     string     `json:"reason" enum:"insufficient_stock,unknown_product" doc:"Why nothing was reserved" example:"insufficient_stock"`
	Shortages  []Shortage `json:"shortages" doc:"Lines of which too few were available"`
}

// SaleConfirmed is the command to remove the reserved goods from the stock.
type SaleConfirmed struct {
	SaleID   int64  `json:"saleId" doc:"Id of the sale" example:"42"`
	Items    []Item `json:"items" doc:"Lines of the sale, one per product"`
	Repeated bool   `json:"repeated,omitempty" doc:"Whether the command was published before without a response" example:"true"`
}

// SaleCanceled is the command to release the reservation of a sale. When it arrives
// before the sale's SaleCreated, nothing is reserved for the sale.
type SaleCanceled struct {
	SaleID   int64  `json:"saleId" doc:"Id of the sale" example:"42"`
	Reason   string `json:"reason" enum:"customer,expired" doc:"Why the sale was canceled" example:"expired"`
	Repeated bool   `json:"repeated,omitempty" doc:"Whether the command was published before without a response" example:"true"`
}

// StockReleased reports that the goods of a confirmed sale were removed from the stock.
type StockReleased struct {
	SaleID     int64     `json:"saleId" doc:"Id of the sale" example:"42"`
	Items      []Item    `json:"items" doc:"Lines that were removed from the stock"`
	ReleasedAt time.Time `json:"releasedAt" doc:"When the lines were removed from the stock"`
}

// StockCanceled reports that the reservation of a canceled sale was released. Items is
// empty when the sale had none.
type StockCanceled struct {
	SaleID int64  `json:"saleId" doc:"Id of the sale" example:"42"`
	Items  []Item `json:"items" doc:"Lines that were released; none if the sale had no reservation"`
}

// ProductChanged reports that cached responses about a product are stale.
type ProductChanged struct {
	ProductID int64 `json:"productId" doc:"Id of the product" example:"7"`
	Deleted   bool  `json:"deleted" doc:"Whether the product was deleted from the catalog" example:"true"`
}

// Data is implemented by the data of every event.
type Data interface {
	// EventType returns the name of the event.
	EventType() string
	// Key returns the id, in decimal, of the event's sale, or of its product for
	// ProductChanged. It is the subject of the event.
	Key() string
}

func formatID(n int64) string { return strconv.FormatInt(n, 10) }

func (SaleCreated) EventType() string               { return SaleCreatedType }
func (SaleItemsReservedResponse) EventType() string { return SaleItemsReservedResponseType }
func (SaleCreationFailed) EventType() string        { return SaleCreationFailedType }
func (SaleConfirmed) EventType() string             { return SaleConfirmedType }
func (SaleCanceled) EventType() string              { return SaleCanceledType }
func (StockReleased) EventType() string             { return StockReleasedType }
func (StockCanceled) EventType() string             { return StockCanceledType }
func (ProductChanged) EventType() string            { return ProductChangedType }

func (e SaleCreated) Key() string               { return formatID(e.SaleID) }
func (e SaleItemsReservedResponse) Key() string { return formatID(e.SaleID) }
func (e SaleCreationFailed) Key() string        { return formatID(e.SaleID) }
func (e SaleConfirmed) Key() string             { return formatID(e.SaleID) }
func (e SaleCanceled) Key() string              { return formatID(e.SaleID) }
func (e StockReleased) Key() string             { return formatID(e.SaleID) }
func (e StockCanceled) Key() string             { return formatID(e.SaleID) }
func (e ProductChanged) Key() string            { return formatID(e.ProductID) }

// ContentType is the media type of every message (CloudEvents 1.0, JSON event format).
const ContentType = "application/cloudevents+json"

// SpecVersion is the version of CloudEvents, DataVersion the version of the data types
// in this package.
const (
	SpecVersion = "1.0"
	DataVersion = "1"
)

// MaxBytes is the maximum size of an encoded envelope in bytes. A sale of 100 lines
// takes less than 8 KiB.
const MaxBytes = 64 << 10

// Envelope is the wire format of an event.
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

// ErrInvalid is wrapped by every error of Parse and Decode. Such a message can never be
// processed, however often it is delivered.
var ErrInvalid = errors.New("invalid event")

// New returns a new event of a service ("sales" or "stock") with a new id. traceParent
// may be empty.
func New(service string, data Data, at time.Time, traceParent string) (Envelope, error) {
	eventID, err := uuid.NewV7()
	if err != nil {
		return Envelope{}, fmt.Errorf("create an event id: %w", err)
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

// Parse decodes an envelope. It ignores unknown fields. It returns ErrInvalid for a body
// that is malformed or longer than MaxBytes, and for an unknown version.
func Parse(body []byte) (Envelope, error) {
	var e Envelope
	if len(body) > MaxBytes {
		return e, fmt.Errorf("%w: %d bytes exceed the limit of %d", ErrInvalid, len(body), MaxBytes)
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

// Decode decodes the data of an envelope. It returns ErrInvalid when the envelope is of
// another type than T, when its data is malformed or out of range, or when its subject
// is not the key of its data.
func Decode[T Data](e Envelope) (T, error) {
	var data T
	if e.Type != data.EventType() {
		return data, fmt.Errorf("%w: type %q, want %q", ErrInvalid, e.Type, data.EventType())
	}
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return data, fmt.Errorf("%w: data of %s: %w", ErrInvalid, e.Type, err)
	}
	if data.Key() == "0" || data.Key() != e.Subject {
		return data, fmt.Errorf("%w: subject of %s is %q, but the key of its data is %q", ErrInvalid, e.Type, e.Subject, data.Key())
	}
	if v, ok := any(data).(interface{ validate() error }); ok {
		if err := v.validate(); err != nil {
			return data, fmt.Errorf("%w: data of %s: %w", ErrInvalid, e.Type, err)
		}
	}
	return data, nil
}

func (e SaleCreated) validate() error   { return validateItems(e.Items) }
func (e SaleConfirmed) validate() error { return validateItems(e.Items) }

func validateItems(items []Item) error {
	for _, it := range items {
		if it.ProductID < 1 || it.Quantity < 1 {
			return fmt.Errorf("quantity %d of product %d", it.Quantity, it.ProductID)
		}
	}
	return nil
}

// maxPriceDigits is the maximum number of digits of a price. Prices are limited before
// they are computed with, because arithmetic on a decimal with a large exponent can
// exhaust the memory, however short its text is.
const maxPriceDigits = 20

func (e SaleItemsReservedResponse) validate() error {
	for _, it := range e.ItemsReserved {
		if it.ProductID < 1 || it.Quantity < 1 {
			return fmt.Errorf("quantity %d of product %d", it.Quantity, it.ProductID)
		}
		if exp := it.Price.Exponent(); exp < -2 || exp > 0 || it.Price.NumDigits() > maxPriceDigits || it.Price.IsNegative() {
			return fmt.Errorf("the price of product %d is not an amount of money", it.ProductID)
		}
	}
	return nil
}
