package inventory

import "fmt"

// Sums are the totals of the ledger for one product, by kind and by whether a sale or a
// manager made the movement.
type Sums struct {
	ProductID                                     int64
	Received                                      int64
	ReservedSales, ReleasedSales, RemovedSales    int64
	ReservedManual, ReleasedManual, RemovedManual int64
}

// Add adds a movement.
func (s *Sums) Add(m Movement) {
	bySale := m.SaleID != 0
	switch {
	case m.Kind == Received:
		s.Received += m.Quantity
	case m.Kind == Reserved && bySale:
		s.ReservedSales += m.Quantity
	case m.Kind == Reserved:
		s.ReservedManual += m.Quantity
	case m.Kind == Released && bySale:
		s.ReleasedSales += m.Quantity
	case m.Kind == Released:
		s.ReleasedManual += m.Quantity
	case m.Kind == Removed && bySale:
		s.RemovedSales += m.Quantity
	case m.Kind == Removed:
		s.RemovedManual += m.Quantity
	}
}

// Plus returns the sums of two parts of a ledger. The product is that of s.
func (s Sums) Plus(other Sums) Sums {
	s.Received += other.Received
	s.ReservedSales += other.ReservedSales
	s.ReleasedSales += other.ReleasedSales
	s.RemovedSales += other.RemovedSales
	s.ReservedManual += other.ReservedManual
	s.ReleasedManual += other.ReleasedManual
	s.RemovedManual += other.RemovedManual
	return s
}

// Stock returns the quantities that follow from the sums.
func (s Sums) Stock() Stock {
	return Stock{
		ProductID:      s.ProductID,
		Available:      s.Received - s.ReservedSales - s.ReservedManual + s.ReleasedSales + s.ReleasedManual,
		ReservedSales:  s.ReservedSales - s.ReleasedSales - s.RemovedSales,
		ReservedManual: s.ReservedManual - s.ReleasedManual - s.RemovedManual,
		Removed:        s.RemovedSales + s.RemovedManual,
	}
}

// Violation is a product that violates an invariant.
type Violation struct {
	ProductID int64
	Rule      string
}

// Audit compares the quantities of a product with its ledger.
func Audit(row Stock, sums Sums) []Violation {
	var found []Violation
	want := sums.Stock()
	for _, q := range []struct {
		name      string
		got, want int64
	}{
		{"available", row.Available, want.Available},
		{"reserved for sales", row.ReservedSales, want.ReservedSales},
		{"reserved manually", row.ReservedManual, want.ReservedManual},
		{"removed", row.Removed, want.Removed},
	} {
		if q.got != q.want {
			found = append(found, Violation{row.ProductID, fmt.Sprintf("%s is %d, the sum of the ledger is %d", q.name, q.got, q.want)})
		}
		if q.got < 0 {
			found = append(found, Violation{row.ProductID, fmt.Sprintf("%s is %d, which is below zero", q.name, q.got)})
		}
	}
	return found
}

// Report is the result of an audit of all products.
type Report struct {
	Products   int64
	Movements  int64
	Violations []Violation
}
