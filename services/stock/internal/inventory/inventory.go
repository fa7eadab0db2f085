// Package inventory implements the domain of stock: the available, reserved and removed
// quantities of each product, the reservations of sales, and the rules by which they change.
//
// It does not depend on HTTP, SQL or AMQP. A UnitOfWork holds the rows that a transaction has
// locked and changes them in memory; the store writes its Changes.
package inventory

import (
	"time"

	"github.com/shopspring/decimal"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/stock/internal/catalog"
)

// MaxQuantity is the maximum quantity of one movement.
const MaxQuantity = 1_000_000_000

// Stock holds the quantities of a product.
//
// Received() = Available + Reserved() + Removed, and no quantity is negative.
type Stock struct {
	ProductID int64
	Available int64
	// ReservedSales is reserved for sales, ReservedManual by managers. Neither can be released
	// or removed through the other.
	ReservedSales  int64
	ReservedManual int64
	Removed        int64

	UpdatedAt time.Time
}

// Reserved returns the quantity that is reserved for sales and by managers.
func (s Stock) Reserved() int64 { return s.ReservedSales + s.ReservedManual }

// Received returns the quantity that was ever received.
func (s Stock) Received() int64 { return s.Available + s.Reserved() + s.Removed }

// Kind is the kind of a movement.
type Kind string

// Kinds of movements, with the quantities between which they move goods.
const (
	Received Kind = "received" // to available
	Reserved Kind = "reserved" // available to reserved
	Released Kind = "released" // reserved to available
	Removed  Kind = "removed"  // reserved to removed
)

// Movement is a row of the ledger. The movements of a product add up to its Stock.
type Movement struct {
	ID        int64
	ProductID int64
	Kind      Kind
	Quantity  int64
	// SaleID is set for a movement of a sale, ActorID for one of a manager.
	SaleID  int64
	ActorID int64
	At      time.Time
}

// Line is a product with the quantity that a sale orders.
type Line struct {
	ProductID int64 `json:"productId"`
	Quantity  int64 `json:"quantity"`
	// Price is the unit price of a line that is reserved. Reservations of earlier releases
	// have none.
	Price decimal.NullDecimal `json:"price,omitzero"`
	// Shortage is not nil for a line because of which its sale was rejected.
	Shortage *Shortage `json:"shortage,omitempty"`
}

// Shortage is why a line was not reserved: the quantity that was available, and the reason
// of event.SaleCreationFailed.
type Shortage struct {
	Available int64  `json:"available"`
	Reason    string `json:"reason"`
}

// ReservationStatus is the status of a reservation.
type ReservationStatus string

// Statuses of a reservation. Reserved changes to Removed or Released, and Rejected to Released
// when its sale is canceled. Removed and Released are final.
const (
	ReservationReserved ReservationStatus = "Reserved"
	ReservationRemoved  ReservationStatus = "Removed"
	ReservationReleased ReservationStatus = "Released"
	ReservationRejected ReservationStatus = "Rejected"
)

// Reservation is the reservation of a sale; there is at most one per sale.
type Reservation struct {
	SaleID     int64
	CustomerID int64
	Status     ReservationStatus
	Lines      []Line
	At         time.Time
}

// Errors of manual movements.
var (
	ErrInsufficientStock    = failure.Conflict("insufficient_stock", "The quantity exceeds the available stock.")
	ErrInsufficientReserved = failure.Conflict("insufficient_reserved",
		"The quantity exceeds the manually reserved stock. Stock that is reserved for sales cannot be released or removed.")
	ErrUnknownProduct = catalog.ErrNotFound
)
