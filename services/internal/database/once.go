package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/idempotency"
)

// Once runs fn, which sets result, in the transaction tx, and stores result in the table requests, so
// that its commit is that of the effects of fn. If the request was committed before, it sets result
// to that of the first one instead, and returns true. It returns idempotency.ErrKeyReused if the key
// was used with another request. When a concurrent transaction has committed the request, the error
// wraps ErrRetry, and the next attempt finds its result.
func Once[T any](tx *gorm.DB, r idempotency.Request, result *T, fn func() error) (replayed bool, err error) {
	if r.IsZero() {
		return false, fn()
	}
	if replayed, err = StoredResult(tx, r, result); replayed || err != nil {
		return replayed, err
	}
	if err := fn(); err != nil {
		return false, err
	}
	response, err := json.Marshal(result)
	if err != nil {
		return false, fmt.Errorf("encode a stored response: %w", err)
	}
	err = tx.Exec("INSERT INTO requests (caller_id, key_hash, body_hash, response, created_at) VALUES (?, ?, ?, ?, NOW(6))",
		r.CallerID, Binary(r.Key[:]), Binary(r.Body[:]), JSON(response)).Error
	if IsDuplicate(err) {
		return false, fmt.Errorf("%w: %w", ErrRetry, err)
	}
	if err != nil {
		return false, fmt.Errorf("store a response: %w", err)
	}
	return false, nil
}

// StoredResult sets result to that of a request, and reports whether there is one. It returns
// idempotency.ErrKeyReused if the key was used with another request.
func StoredResult[T any](db *gorm.DB, r idempotency.Request, result *T) (found bool, err error) {
	var rows []struct{ BodyHash, Response []byte }
	err = db.Raw("SELECT body_hash, response FROM requests WHERE caller_id = ? AND key_hash = ?", r.CallerID, Binary(r.Key[:])).Scan(&rows).Error
	switch {
	case err != nil:
		return false, fmt.Errorf("read a stored response: %w", err)
	case len(rows) == 0:
		return false, nil
	case string(rows[0].BodyHash) != string(r.Body[:]):
		return false, idempotency.ErrKeyReused
	}
	var stored T
	if err := json.Unmarshal(rows[0].Response, &stored); err != nil {
		return false, fmt.Errorf("decode a stored response: %w", err)
	}
	*result = stored
	return true, nil
}

// deleteBatch is the number of rows that one statement deletes, to bound the time for which it
// holds locks.
const deleteBatch = 1000

// DeleteResults deletes the stored responses whose retention has passed, by the clock of the
// database.
func DeleteResults(ctx context.Context, db *gorm.DB) error {
	for {
		res := db.WithContext(ctx).Exec(fmt.Sprintf("DELETE FROM requests WHERE created_at < NOW(6) - INTERVAL ? SECOND LIMIT %d", deleteBatch),
			int64(idempotency.Retention/time.Second))
		if res.Error != nil {
			return Classify(fmt.Errorf("delete stored responses: %w", res.Error))
		}
		if res.RowsAffected < deleteBatch {
			return nil
		}
	}
}
