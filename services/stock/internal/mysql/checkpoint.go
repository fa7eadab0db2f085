package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"math"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/stock/internal/inventory"
)

// checkpointWindow is the number of movement ids whose sums one transaction adds or verifies.
const checkpointWindow = 500_000

// checkpointColumns are the sums of a checkpoint.
const checkpointColumns = "movements, received, reserved_sales, released_sales, removed_sales, reserved_manual, released_manual, removed_manual"

// readMark returns the last movement of the checkpoints, 0 without any.
func readMark(tx *gorm.DB, locking string) (int64, error) {
	var marks []int64
	if err := tx.Raw("SELECT movement_id FROM audit_checkpoints WHERE product_id = 0 " + locking).Scan(&marks).Error; err != nil {
		return 0, fmt.Errorf("read the checkpoint: %w", err)
	}
	if len(marks) == 0 {
		return 0, nil
	}
	return marks[0], nil
}

// readCheckpoints returns the sums of the products with ids above after, up to last.
func readCheckpoints(tx *gorm.DB, after, last int64) (ledgers, error) {
	var rows []ledger
	err := tx.Raw("SELECT product_id, "+checkpointColumns+" FROM audit_checkpoints WHERE product_id > ? AND product_id <= ?", after, last).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read the checkpoints: %w", err)
	}
	sums := make(ledgers, len(rows))
	for _, r := range rows {
		sums[r.ProductID] = r
	}
	return sums, nil
}

// AdvanceCheckpoint adds up to 500,000 movements to the checkpoints and reports whether there are
// more. It leaves out those of the last minute: transactions that are still running may have
// smaller ids.
func (s *Store) AdvanceCheckpoint(ctx context.Context) (more bool, err error) {
	err = database.Transact(ctx, s.db, func(tx *gorm.DB) error {
		more = false
		if err := tx.Exec("INSERT IGNORE INTO audit_checkpoints VALUES (0, 0, 0, 0, 0, 0, 0, 0, 0, 0)").Error; err != nil {
			return fmt.Errorf("create the checkpoint: %w", err)
		}
		mark, err := readMark(tx, "FOR UPDATE")
		if err != nil {
			return err
		}
		var newest []int64
		if err := tx.Raw("SELECT id FROM movements WHERE at < NOW(6) - INTERVAL 1 MINUTE ORDER BY id DESC LIMIT 1").Scan(&newest).Error; err != nil {
			return fmt.Errorf("find the newest movement: %w", err)
		}
		if len(newest) == 0 || newest[0] <= mark {
			return nil
		}
		last := min(newest[0], mark+checkpointWindow)
		more = last < newest[0]
		sums, err := sumLedger(tx, mark, last)
		if err != nil {
			return err
		}
		if err := addToCheckpoints(tx, sums); err != nil {
			return err
		}
		if err := tx.Exec("UPDATE audit_checkpoints SET movement_id = ? WHERE product_id = 0", last).Error; err != nil {
			return fmt.Errorf("move the checkpoint to %d: %w", last, err)
		}
		return nil
	})
	return more, err
}

func addToCheckpoints(tx *gorm.DB, sums ledgers) error {
	rows := make([]ledger, 0, len(sums))
	for _, l := range sums {
		rows = append(rows, l)
	}
	for len(rows) > 0 {
		n := min(len(rows), auditPage)
		err := database.InsertRows(tx, "audit_checkpoints (product_id, movement_id, "+checkpointColumns+")", rows[:n], func(values []any, l ledger) ([]any, error) {
			return append(values, l.ProductID, 0, l.Movements, l.Received, l.ReservedSales, l.ReleasedSales, l.RemovedSales,
				l.ReservedManual, l.ReleasedManual, l.RemovedManual), nil
		}, "ON DUPLICATE KEY UPDATE movements = movements + VALUES(movements), received = received + VALUES(received), "+
			"reserved_sales = reserved_sales + VALUES(reserved_sales), released_sales = released_sales + VALUES(released_sales), "+
			"removed_sales = removed_sales + VALUES(removed_sales), reserved_manual = reserved_manual + VALUES(reserved_manual), "+
			"released_manual = released_manual + VALUES(released_manual), removed_manual = removed_manual + VALUES(removed_manual)")
		if err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// CheckpointVerifier compares the checkpoints with the movements that they sum up, a part of the
// ledger with each call. It is not safe for concurrent use.
type CheckpointVerifier struct {
	store    *Store
	position int64
	sums     ledgers
}

// NewCheckpointVerifier returns a verifier of the checkpoints of s.
func (s *Store) NewCheckpointVerifier() *CheckpointVerifier {
	return &CheckpointVerifier{store: s, sums: ledgers{}}
}

// Verify reads up to 500,000 movements. When it has read all that the checkpoints sum up, it
// returns done and the violations, and begins again with the next call. It corrects the
// checkpoints, so that the audit then compares the quantities with the ledger as it is.
func (v *CheckpointVerifier) Verify(ctx context.Context) (done bool, violations []inventory.Violation, err error) {
	var mark int64
	var stored ledgers
	err = v.store.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var err error
		if mark, err = readMark(tx, ""); err != nil {
			return err
		}
		last := min(mark, v.position+checkpointWindow)
		sums, err := sumLedger(tx, v.position, last)
		if err != nil {
			return err
		}
		if done = last == mark; done {
			if stored, err = readCheckpoints(tx, 0, math.MaxInt64); err != nil {
				return err
			}
		}
		for id, l := range sums {
			v.sums.add(id, l)
		}
		v.position = last
		return nil
	}, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil || !done {
		return false, nil, database.Classify(err)
	}
	corrections := ledgers{}
	for id, l := range v.sums {
		if stored[id] != l {
			corrections[id] = l
			violations = append(violations, inventory.Violation{ProductID: id, Rule: "the checkpoint differs from the ledger"})
		}
	}
	for id := range stored {
		if _, ok := v.sums[id]; !ok {
			corrections[id] = ledger{Sums: inventory.Sums{ProductID: id}}
			violations = append(violations, inventory.Violation{ProductID: id, Rule: "there is a checkpoint, but the ledger has no movements"})
		}
	}
	v.position, v.sums = 0, ledgers{}
	return true, violations, v.store.correctCheckpoints(ctx, mark, corrections)
}

// correctCheckpoints replaces checkpoints, unless the mark has moved since they were verified. Then
// the next verification finds them again.
func (s *Store) correctCheckpoints(ctx context.Context, mark int64, corrections ledgers) error {
	if len(corrections) == 0 {
		return nil
	}
	return database.Transact(ctx, s.db, func(tx *gorm.DB) error {
		now, err := readMark(tx, "FOR UPDATE")
		if err != nil || now != mark {
			return err
		}
		for id := range corrections {
			if err := tx.Exec("DELETE FROM audit_checkpoints WHERE product_id = ?", id).Error; err != nil {
				return fmt.Errorf("delete the checkpoint of product %d: %w", id, err)
			}
		}
		return addToCheckpoints(tx, corrections)
	})
}
