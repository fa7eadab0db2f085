package mysql

import (
	"context"
	"encoding/json"
	"fmt"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/reservations"
)

// Reservations implements reservations.List.
func (s *Store) Reservations(ctx context.Context, first, last int64) ([]reservations.Reservation, error) {
	var rows []struct {
		SaleID    int64
		Status    string
		LinesJSON []byte
	}
	err := s.db.WithContext(ctx).Raw("SELECT sale_id, status, lines_json FROM reservations WHERE sale_id BETWEEN ? AND ? ORDER BY sale_id",
		first, last).Scan(&rows).Error
	if err != nil {
		return nil, database.Classify(fmt.Errorf("read reservations: %w", err))
	}
	found := make([]reservations.Reservation, len(rows))
	for i, r := range rows {
		var lines []event.Item
		if err := json.Unmarshal(r.LinesJSON, &lines); err != nil {
			return nil, fmt.Errorf("read the lines of reservation %d: %w", r.SaleID, err)
		}
		found[i] = reservations.Reservation{SaleID: r.SaleID, Status: r.Status, Lines: reservations.Digest(lines)}
	}
	return found, nil
}
