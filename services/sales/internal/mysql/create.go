package mysql

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Create commits the sale, its first timeline entry, its event and the request's
// answer together.
func (s *Store) Create(ctx context.Context, fresh sale.Sale, r sale.Request) (sale.Sale, bool, error) {
	created, replayed := fresh, false
	err := s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		created, replayed = fresh, false
		if r.Key != "" {
			first, found, err := answerTo(tx.DB, fresh.CustomerID, r)
			if err != nil || found {
				created, replayed = first, found
				return err
			}
		}
		if err := insert(tx.DB, &created); err != nil {
			return err
		}
		entry, err := sale.Note(created.ID, created.Created(), created.CreatedAt)
		if err != nil {
			return fmt.Errorf("note the creation of sale %d: %w", created.ID, err)
		}
		if err := note(tx.DB, []sale.Entry{entry}); err != nil {
			return err
		}
		if r.Key != "" {
			if err := keep(tx.DB, created, r); err != nil {
				return err
			}
		}
		tx.Say(created.Created())
		return nil
	})
	return created, replayed, err
}

func insert(tx *gorm.DB, s *sale.Sale) error {
	r, err := rowOf(*s)
	if err != nil {
		return err
	}
	if err := tx.Create(&r).Error; err != nil {
		return fmt.Errorf("insert a sale: %w", err)
	}
	s.ID = r.ID
	return nil
}

// answerTo finds the answer that a request got before. It does not wait for a
// request that is still running.
func answerTo(tx *gorm.DB, customerID int64, r sale.Request) (sale.Sale, bool, error) {
	key := sha256.Sum256([]byte(r.Key))
	var rows []struct {
		BodyHash, Answer []byte
		RunningUntil     *time.Time
	}
	var err error
	// An answer that is committed is read without a lock, so that repeats do not
	// exclude each other; the lock tells one that is being written from none.
	for _, lock := range []string{"", " FOR UPDATE NOWAIT"} {
		err = tx.Raw("SELECT body_hash, answer, running_until FROM requests WHERE customer_id = ? AND key_hash = ?"+lock,
			customerID, database.Binary(key[:])).Scan(&rows).Error
		if err != nil || len(rows) > 0 {
			break
		}
	}
	switch {
	case database.IsLocked(err):
		return sale.Sale{}, false, sale.ErrKeyInUse
	case err != nil:
		return sale.Sale{}, false, fmt.Errorf("look for an earlier answer: %w", err)
	case len(rows) == 0:
		return sale.Sale{}, false, nil
	case !bytes.Equal(rows[0].BodyHash, r.Body[:]):
		return sale.Sale{}, false, sale.ErrKeyReused
	case rows[0].RunningUntil != nil && rows[0].RunningUntil.After(database.Now()):
		return sale.Sale{}, false, sale.ErrKeyInUse
	}
	var answer sale.Sale
	if err := json.Unmarshal(rows[0].Answer, &answer); err != nil {
		return sale.Sale{}, false, fmt.Errorf("read an earlier answer: %w", err)
	}
	return answer, true, nil
}

// keep writes the answer. When a concurrent request with the same key committed
// first, the transaction starts again, and finds that one's answer.
func keep(tx *gorm.DB, s sale.Sale, r sale.Request) error {
	answer, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("encode the answer with sale %d: %w", s.ID, err)
	}
	key := sha256.Sum256([]byte(r.Key))
	err = tx.Exec("INSERT INTO requests (customer_id, key_hash, body_hash, answer, running_until, created_at) VALUES (?, ?, ?, ?, ?, ?)",
		s.CustomerID, database.Binary(key[:]), database.Binary(r.Body[:]), database.JSON(answer), r.RunningUntil, database.Now()).Error
	switch {
	case database.IsDuplicate(err):
		return fmt.Errorf("keep the answer: %w: %w", database.ErrAgain, err)
	case err != nil:
		return fmt.Errorf("keep the answer: %w", err)
	}
	return nil
}

// Answered ends a request that ran on, with the sale as its answer.
func (s *Store) Answered(ctx context.Context, final sale.Sale, r sale.Request) error {
	answer, err := json.Marshal(final)
	if err != nil {
		return fmt.Errorf("encode the answer with sale %d: %w", final.ID, err)
	}
	key := sha256.Sum256([]byte(r.Key))
	err = s.db.WithContext(ctx).Exec("UPDATE requests SET answer = ?, running_until = NULL WHERE customer_id = ? AND key_hash = ?",
		database.JSON(answer), final.CustomerID, database.Binary(key[:])).Error
	if err != nil {
		return database.Classify(fmt.Errorf("keep the answer: %w", err))
	}
	return nil
}
