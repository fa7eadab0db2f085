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

// letterRow of the table dead_letters. What the message says of itself is bytes: a
// message that nobody could read may hold any.
type letterRow struct {
	ID          int64
	Queue       string
	Reason      string
	MessageID   database.Binary
	Type        database.Binary
	Correlation database.Binary
	TraceParent database.Binary
	ContentType database.Binary
	Body        database.Binary
	Size        int64
	DiedAt      time.Time
	KeptAt      time.Time
}

const letterColumns = "id, queue, reason, message_id, type, correlation, trace_parent, content_type, " +
	"OCTET_LENGTH(body) AS size, died_at, kept_at, "

func (r letterRow) domain() deadletter.Letter {
	return deadletter.Letter{ID: r.ID, KeptAt: r.KeptAt, Size: r.Size, DeadLetter: event.DeadLetter{
		Queue: r.Queue, Reason: r.Reason, DiedAt: r.DiedAt, MessageID: string(r.MessageID), Type: string(r.Type),
		Correlation: string(r.Correlation), TraceParent: string(r.TraceParent), ContentType: string(r.ContentType), Body: r.Body,
	}}
}

// KeepLetter makes a dead letter lasting; one that is kept already stays as it is.
func (s *Store) KeepLetter(ctx context.Context, l event.DeadLetter) error {
	whole, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode a dead letter: %w", err)
	}
	fingerprint := sha256.Sum256(whole)
	err = s.db.WithContext(ctx).Exec("INSERT INTO dead_letters (fingerprint, queue, reason, message_id, type, correlation, "+
		"trace_parent, content_type, body, died_at, kept_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "+
		"ON DUPLICATE KEY UPDATE id = id",
		database.Binary(fingerprint[:]), l.Queue, l.Reason, binary(l.MessageID), binary(l.Type), binary(l.Correlation),
		binary(l.TraceParent), binary(l.ContentType), database.Binary(l.Body), l.DiedAt.UTC(), database.Now()).Error
	if err != nil {
		return database.Classify(fmt.Errorf("keep a dead letter: %w", err))
	}
	return nil
}

// binary is a text of at most 255 bytes, as AMQP's short strings are; a header may be
// longer.
func binary(text string) database.Binary { return database.Binary(text[:min(len(text), 255)]) }

// Letters lists dead letters, the newest first.
func (s *Store) Letters(ctx context.Context, before int64, limit int) ([]deadletter.Letter, error) {
	var rows []letterRow
	q := s.db.WithContext(ctx).Table("dead_letters").Select(letterColumns+"LEFT(body, ?) AS body", deadletter.MaxShown)
	if before != 0 {
		q = q.Where("id < ?", before)
	}
	if err := q.Order("id DESC").Limit(limit).Find(&rows).Error; err != nil {
		return nil, database.Classify(fmt.Errorf("list dead letters: %w", err))
	}
	letters := make([]deadletter.Letter, len(rows))
	for i, r := range rows {
		letters[i] = r.domain()
	}
	return letters, nil
}

// CountLetters says how many there are.
func (s *Store) CountLetters(ctx context.Context) (int64, error) {
	var n int64
	err := s.db.WithContext(ctx).Table("dead_letters").Count(&n).Error
	if err != nil {
		return 0, database.Classify(fmt.Errorf("count the dead letters: %w", err))
	}
	return n, nil
}

// Redrive sends a letter under the lock of its row, and deletes it. A transaction that
// is repeated sends it again; the consumers' inbox makes that harmless.
func (s *Store) Redrive(ctx context.Context, id int64, send func(context.Context, event.DeadLetter) error) error {
	return database.Transact(ctx, s.db, func(tx *gorm.DB) error {
		var rows []letterRow
		err := tx.Raw("SELECT "+letterColumns+"body FROM dead_letters WHERE id = ? FOR UPDATE", id).Scan(&rows).Error
		switch {
		case err != nil:
			return fmt.Errorf("read dead letter %d: %w", id, err)
		case len(rows) == 0:
			return deadletter.ErrNotFound
		}
		if err := send(ctx, rows[0].domain().DeadLetter); err != nil {
			return fmt.Errorf("redrive dead letter %d: %w", id, err)
		}
		return forget(tx, id)
	})
}

// Delete forgets a letter for good.
func (s *Store) Delete(ctx context.Context, id int64) error {
	return database.Classify(forget(s.db.WithContext(ctx), id))
}

func forget(db *gorm.DB, id int64) error {
	res := db.Exec("DELETE FROM dead_letters WHERE id = ?", id)
	if res.Error != nil {
		return fmt.Errorf("delete dead letter %d: %w", id, res.Error)
	}
	if res.RowsAffected == 0 {
		return deadletter.ErrNotFound
	}
	return nil
}
