package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/event"
	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/sales/internal/deadletter"
)

// deadLetterRow is a row of the table dead_letters. The properties of a message are
// binary, because a malformed message may have any bytes.
type deadLetterRow struct {
	ID          int64
	Queue       string
	Reason      string
	MessageID   database.Binary
	Type        database.Binary
	Correlation database.Binary
	TraceParent database.Binary
	ContentType database.Binary
	Body        database.Binary
	Headers     database.JSON
	Size        int64
	StoredSize  int64
	DiedAt      time.Time
	StoredAt    time.Time
}

const deadLetterColumns = "id, queue, reason, message_id, type, correlation, trace_parent, content_type, " +
	"headers, COALESCE(body_size, OCTET_LENGTH(body)) AS size, OCTET_LENGTH(body) AS stored_size, died_at, stored_at, "

func (r deadLetterRow) toDeadLetter() deadletter.DeadLetter {
	return deadletter.DeadLetter{ID: r.ID, StoredAt: r.StoredAt, Size: r.Size, Incomplete: r.StoredSize < r.Size, DeadLetter: event.DeadLetter{
		Queue: r.Queue, Reason: r.Reason, DiedAt: r.DiedAt, MessageID: string(r.MessageID), Type: string(r.Type),
		Correlation: string(r.Correlation), TraceParent: string(r.TraceParent), ContentType: string(r.ContentType), Body: r.Body,
		Headers: json.RawMessage(r.Headers),
	}}
}

// StoreDeadLetter stores a dead letter, of a long body only the first deadletter.MaxBodyStored
// bytes. It does nothing when the same one is stored already.
func (s *Store) StoreDeadLetter(ctx context.Context, l event.DeadLetter) error {
	whole, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode a dead letter: %w", err)
	}
	fingerprint := sha256.Sum256(whole)
	err = s.db.WithContext(ctx).Exec("INSERT INTO dead_letters (fingerprint, queue, reason, message_id, type, correlation, "+
		"trace_parent, content_type, body, body_size, headers, died_at, stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "+
		"ON DUPLICATE KEY UPDATE stored_at = stored_at",
		database.Binary(fingerprint[:]), l.Queue, l.Reason, binary(l.MessageID), binary(l.Type), binary(l.Correlation),
		binary(l.TraceParent), binary(l.ContentType), database.Binary(l.Body[:min(len(l.Body), deadletter.MaxBodyStored)]),
		len(l.Body), database.JSON(l.Headers), l.DiedAt.UTC(), database.Now()).Error
	if err != nil {
		return database.Classify(fmt.Errorf("store a dead letter: %w", err))
	}
	return nil
}

// binary returns the first 255 bytes of a text. AMQP limits short strings to these, but
// not headers.
func binary(text string) database.Binary { return database.Binary(text[:min(len(text), 255)]) }

// DeadLetters implements deadletter.Store.
func (s *Store) DeadLetters(ctx context.Context, before int64, limit int) ([]deadletter.DeadLetter, error) {
	var rows []deadLetterRow
	q := s.db.WithContext(ctx).Table("dead_letters").Select(deadLetterColumns+"LEFT(body, ?) AS body", deadletter.MaxBodyShown)
	if before != 0 {
		q = q.Where("id < ?", before)
	}
	if err := q.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, database.Classify(fmt.Errorf("list dead letters: %w", err))
	}
	deadLetters := make([]deadletter.DeadLetter, len(rows))
	for i, r := range rows {
		deadLetters[i] = r.toDeadLetter()
	}
	return deadLetters, nil
}

// Find implements deadletter.Store.
func (s *Store) Find(ctx context.Context, f deadletter.Filter, limit int) (ids []int64, incomplete int, err error) {
	q := s.db.WithContext(ctx).Table("dead_letters").Select("id, COALESCE(body_size, OCTET_LENGTH(body)) AS size, OCTET_LENGTH(body) AS stored_size")
	for condition, text := range map[string]string{"queue = ?": f.Queue, "reason = ?": f.Reason} {
		if text != "" {
			q = q.Where(condition, text)
		}
	}
	if f.Type != "" {
		q = q.Where("type = ?", database.Binary(f.Type))
	}
	if !f.DiedBefore.IsZero() {
		q = q.Where("died_at < ?", f.DiedBefore.UTC())
	}
	if !f.DiedAfter.IsZero() {
		q = q.Where("died_at > ?", f.DiedAfter.UTC())
	}
	// Incomplete ones are few, and must not fill the limit for ever.
	for after := int64(0); ; {
		var rows []deadLetterRow
		if err := q.Session(&gorm.Session{}).Where("id > ?", after).Order("id").Limit(limit).Find(&rows).Error; err != nil {
			return nil, 0, database.Classify(fmt.Errorf("find dead letters: %w", err))
		}
		for _, r := range rows {
			after = r.ID
			if r.StoredSize < r.Size {
				incomplete++
				continue
			}
			if ids = append(ids, r.ID); len(ids) == limit {
				return ids, incomplete, nil
			}
		}
		if len(rows) < limit {
			return ids, incomplete, nil
		}
	}
}

// CountDeadLetters returns the number of stored dead letters.
func (s *Store) CountDeadLetters(ctx context.Context) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Table("dead_letters").Count(&n).Error
	if err != nil {
		return 0, database.Classify(fmt.Errorf("count the dead letters: %w", err))
	}
	return n, nil
}

// Redrive implements deadletter.Store. It locks the row while it sends the message. A
// retried transaction sends it again, which is harmless because events may be redelivered.
func (s *Store) Redrive(ctx context.Context, id int64, send func(context.Context, event.DeadLetter) error) error {
	return database.Transact(ctx, s.db, func(tx *gorm.DB) error {
		var rows []deadLetterRow
		err := tx.Raw("SELECT "+deadLetterColumns+"body FROM dead_letters WHERE id = ? FOR UPDATE", id).Scan(&rows).Error
		switch {
		case err != nil:
			return fmt.Errorf("read dead letter %d: %w", id, err)
		case len(rows) == 0:
			return deadletter.ErrNotFound
		}
		letter := rows[0].toDeadLetter()
		if letter.Incomplete {
			return deadletter.ErrIncomplete
		}
		if err := send(ctx, letter.DeadLetter); err != nil {
			return fmt.Errorf("redrive dead letter %d: %w", id, err)
		}
		return deleteDeadLetter(tx, id)
	})
}

// Delete implements deadletter.Store.
func (s *Store) Delete(ctx context.Context, id int64) error {
	return database.Classify(deleteDeadLetter(s.db.WithContext(ctx), id))
}

func deleteDeadLetter(db *gorm.DB, id int64) error {
	res := db.Exec("DELETE FROM dead_letters WHERE id = ?", id)
	if res.Error != nil {
		return fmt.Errorf("delete dead letter %d: %w", id, res.Error)
	}
	if res.RowsAffected == 0 {
		return deadletter.ErrNotFound
	}
	return nil
}
