// Package inventory is the stock domain: what is available, reserved and removed
// of each product, for which sale, and the rules by which that changes.
//
// It knows no HTTP, SQL or AMQP. A Book holds the rows that a transaction has
// locked and decides in memory; what it changed is then written by the store.
package inventory

import (
	"time"

	"ecommerce-stack.dev/services/internal/failure"
	"ecommerce-stack.dev/services/stock/internal/catalogue"
)

// MaxQuantity is the largest quantity of one movement.
const MaxQuantity = 1_000_000_000

// Stock is what there is of a product.
//
// Received = Available + Reserved() + Removed holds at all times, and no quantity
// is ever negative.
type Stock struct {
	ProductID int64
	Available int64
	// ForSales is held by sales, ByHand by managers: neither can be taken through
	// the other.
	ForSales int64
	ByHand   int64
	Removed  int64

	UpdatedAt time.Time
}

// Reserved is all that is held.
func (s Stock) Reserved() int64 { return s.ForSales + s.ByHand }

// Received is all that ever came in.
func (s Stock) Received() int64 { return s.Available + s.Reserved() + s.Removed }

// Kind of a movement.
type Kind string

// The movements, and between which quantities they go.
const (
	Received Kind = "received" // from outside to available
	Reserved Kind = "reserved" // available to reserved
	Released Kind = "released" // reserved to available
	Removed  Kind = "removed"  // reserved to removed
)

// Movement is a line of the ledger. The lines of a product add up to its Stock.
type Movement struct {
	ID        int64
	ProductID int64
	Kind      Kind
	Quantity  int64
	// SaleID is set when a sale moved the goods, ActorID when a person did.
	SaleID  int64
	ActorID int64
	At      time.Time
}

// Line is a product and how much of it a sale wants.
type Line struct {
	ProductID int64 `json:"productId"`
	Quantity  int64 `json:"quantity"`
}

// Status of a reservation.
type Status string

// The states of a reservation. There is none before its sale's first event; a
// reservation leaves Reserved for Removed or Released, and ends there or in
// Rejected.
const (
	None         Status = ""
	StatusHeld   Status = "Reserved"
	StatusGone   Status = "Removed"
	StatusBack   Status = "Released"
	StatusDenied Status = "Rejected"
)

// Reservation is what a sale holds, or held; one per sale.
type Reservation struct {
	SaleID     int64
	CustomerID int64
	Status     Status
	Lines      []Line
	At         time.Time
}

// Refusals of movements made by hand.
var (
	ErrInsufficientStock    = failure.Conflict("insufficient_stock", "There is not enough available.")
	ErrInsufficientReserved = failure.Conflict("insufficient_reserved",
		"There is not enough reserved by hand; what sales hold cannot be taken.")
	ErrUnknownProduct = catalogue.ErrNotFound
)
