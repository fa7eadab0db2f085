package inventory

import "fmt"

// Sums are the ledger's totals of one product, by kind and by who moved.
type Sums struct {
	ProductID                                        int64
	Received                                         int64
	ReservedForSales, ReleasedForSales, RemovedSales int64
	ReservedByHand, ReleasedByHand, RemovedByHand    int64
}

// Add counts a movement.
func (s *Sums) Add(m Movement) {
	bySale := m.SaleID != 0
	switch {
	case m.Kind == Received:
		s.Received += m.Quantity
	case m.Kind == Reserved && bySale:
		s.ReservedForSales += m.Quantity
	case m.Kind == Reserved:
		s.ReservedByHand += m.Quantity
	case m.Kind == Released && bySale:
		s.ReleasedForSales += m.Quantity
	case m.Kind == Released:
		s.ReleasedByHand += m.Quantity
	case m.Kind == Removed && bySale:
		s.RemovedSales += m.Quantity
	case m.Kind == Removed:
		s.RemovedByHand += m.Quantity
	}
}

// Stock is what the sums say there should be.
func (s Sums) Stock() Stock {
	return Stock{
		ProductID: s.ProductID,
		Available: s.Received - s.ReservedForSales - s.ReservedByHand + s.ReleasedForSales + s.ReleasedByHand,
		ForSales:  s.ReservedForSales - s.ReleasedForSales - s.RemovedSales,
		ByHand:    s.ReservedByHand - s.ReleasedByHand - s.RemovedByHand,
		Removed:   s.RemovedSales + s.RemovedByHand,
	}
}

// Violation is a quantity that breaks an invariant.
type Violation struct {
	ProductID int64
	Rule      string
}

// Audit compares a row with its ledger.
func Audit(row Stock, sums Sums) []Violation {
	var found []Violation
	want := sums.Stock()
	for _, q := range []struct {
		name      string
		got, want int64
	}{
		{"available", row.Available, want.Available},
		{"reserved for sales", row.ForSales, want.ForSales},
		{"reserved by hand", row.ByHand, want.ByHand},
		{"removed", row.Removed, want.Removed},
	} {
		if q.got != q.want {
			found = append(found, Violation{row.ProductID, fmt.Sprintf("%s is %d, its ledger sums to %d", q.name, q.got, q.want)})
		}
		if q.got < 0 {
			found = append(found, Violation{row.ProductID, fmt.Sprintf("%s is %d, below zero", q.name, q.got)})
		}
	}
	return found
}

// Report of an audit of all products.
type Report struct {
	Products   int64
	Movements  int64
	Violations []Violation
}
