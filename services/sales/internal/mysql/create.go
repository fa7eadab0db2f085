package mysql

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/groupcommit"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Sales that are placed at the same time share a transaction. Two of these are in
// flight, so that one is prepared while the other waits for the disk.
const (
	commitsInFlight = 2
	maxCommitBatch     = 128
	commitTimeout  = 10 * time.Second
)

func (s *Store) newCreations() *groupcommit.Committer[*creation] {
	return groupcommit.New(groupcommit.Settings[*creation]{
		Commit: s.createAll, InFlight: commitsInFlight, MaxBatch: maxCommitBatch, Timeout: commitTimeout,
		ShouldIsolate: func(err error) bool { return !database.IsTransient(err) },
	})
}

// creation is a sale on its way into the tables.
type creation struct {
	fresh       sale.Sale
	request     sale.Request
	key         [sha256.Size]byte
	traceParent string

	made     sale.Sale
	replayed bool
	refusal  error
}

// Create commits the sale, its first timeline entry, its event and the request's
// answer together. The error is context.DeadlineExceeded when the deadline of ctx passes
// first; the sale is then not placed, unless the COMMIT was sent in time and is executed
// later. A repeat with the same key finds out.
func (s *Store) Create(ctx context.Context, fresh sale.Sale, r sale.Request) (sale.Sale, bool, error) {
	c := &creation{fresh: fresh, request: r, key: sha256.Sum256([]byte(r.Key)), traceParent: telemetry.TraceParent(ctx)}
	if err := s.creations.Do(ctx, c); err != nil {
		return sale.Sale{}, false, err
	}
	return c.made, c.replayed, c.refusal
}

// createAll makes the sales of a batch, except where the request had an answer before.
func (s *Store) createAll(ctx context.Context, batch []*creation) error {
	return s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		fresh, err := answerRepeats(tx.DB, batch)
		if err != nil || len(fresh) == 0 {
			return err
		}
		if err := insert(ctx, tx.DB, fresh); err != nil {
			return err
		}
		entries := make([]sale.Entry, len(fresh))
		for i, c := range fresh {
			created := c.made.Created()
			if entries[i], err = sale.Note(c.made.ID, created, c.made.CreatedAt); err != nil {
				return fmt.Errorf("note the creation of sale %d: %w", c.made.ID, err)
			}
			tx.PublishWithTrace(c.traceParent, created)
		}
		if err := note(tx.DB, entries); err != nil {
			return err
		}
		return keep(tx.DB, fresh)
	})
}

// insert makes the rows and learns their ids, which one statement gets at equal
// distances: https://dev.mysql.com/doc/refman/8.4/en/innodb-auto-increment-handling.html
func insert(ctx context.Context, tx *gorm.DB, fresh []*creation) error {
	step, err := idStep(tx, len(fresh))
	if err != nil {
		return err
	}
	arguments := make([]any, 0, 12*len(fresh))
	for _, c := range fresh {
		r, err := rowOf(c.fresh)
		if err != nil {
			return err
		}
		arguments = append(arguments, r.CustomerID, r.Status, r.Hold, r.Reserved, r.Reason, r.Items,
			r.Shortages, r.Total, r.Currency, r.CreatedAt, r.UpdatedAt, r.ExpiresAt)
	}
	res, err := tx.Statement.ConnPool.ExecContext(ctx, "INSERT INTO sales ("+strings.TrimPrefix(columns, "id, ")+") VALUES "+
		strings.Repeat(",(?,?,?,?,?,?,?,?,?,?,?,?)", len(fresh))[1:], arguments...)
	if err != nil {
		return fmt.Errorf("insert %d sales: %w", len(fresh), err)
	}
	first, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("learn the ids of %d sales: %w", len(fresh), err)
	}
	for i, c := range fresh {
		c.made = c.fresh
		c.made.ID = first + int64(i)*step
	}
	return nil
}

// idStep is the distance of two ids that the server gives: above 1 on a cluster with
// several writers, which changes it as writers come and go.
func idStep(tx *gorm.DB, rows int) (int64, error) {
	if rows == 1 {
		return 0, nil
	}
	var step int64
	if err := tx.Raw("SELECT @@auto_increment_increment").Scan(&step).Error; err != nil {
		return 0, fmt.Errorf("read the distance of ids: %w", err)
	}
	return step, nil
}

// requestKey is a customer's idempotency key.
type requestKey struct {
	customerID int64
	hash       [sha256.Size]byte
}

func (c *creation) requestKey() requestKey { return requestKey{c.fresh.CustomerID, c.key} }

// answerRepeats answers the requests of a batch that were answered before, and returns
// the others.
func answerRepeats(tx *gorm.DB, batch []*creation) ([]*creation, error) {
	answers, err := answersTo(tx, batch)
	if err != nil {
		return nil, err
	}
	fresh := make([]*creation, 0, len(batch))
	running := map[requestKey]bool{}
	for _, c := range batch {
		c.made, c.replayed, c.refusal = sale.Sale{}, false, nil
		first, answered := answers[c.requestKey()]
		switch {
		case c.request.Key == "":
			fresh = append(fresh, c)
		case answered:
			if err := c.replay(first); err != nil {
				return nil, err
			}
		case running[c.requestKey()]:
			c.refusal = sale.ErrKeyInUse
		default:
			running[c.requestKey()] = true
			fresh = append(fresh, c)
		}
	}
	return fresh, nil
}

// requestRow of the table requests.
type requestRow struct {
	CustomerID   int64
	KeyHash      []byte
	BodyHash     []byte
	Answer       []byte
	RunningUntil *time.Time
}

func answersTo(tx *gorm.DB, batch []*creation) (map[requestKey]requestRow, error) {
	var arguments []any
	for _, c := range batch {
		if c.request.Key != "" {
			arguments = append(arguments, c.fresh.CustomerID, database.Binary(c.key[:]))
		}
	}
	if len(arguments) == 0 {
		return nil, nil
	}
	var rows []requestRow
	err := tx.Raw("SELECT customer_id, key_hash, body_hash, answer, running_until FROM requests WHERE (customer_id, key_hash) IN ("+
		strings.Repeat(",(?,?)", len(arguments)/2)[1:]+")", arguments...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("look for earlier answers: %w", err)
	}
	answers := make(map[requestKey]requestRow, len(rows))
	for _, r := range rows {
		answers[requestKey{r.CustomerID, [sha256.Size]byte(r.KeyHash)}] = r
	}
	return answers, nil
}

// replay answers a request like its first one.
func (c *creation) replay(first requestRow) error {
	switch {
	case !bytes.Equal(first.BodyHash, c.request.Body[:]):
		c.refusal = sale.ErrKeyReused
	case first.RunningUntil != nil && first.RunningUntil.After(database.Now()):
		c.refusal = sale.ErrKeyInUse
	default:
		if err := json.Unmarshal(first.Answer, &c.made); err != nil {
			return fmt.Errorf("read an earlier answer: %w", err)
		}
		c.replayed = true
	}
	return nil
}

// keep writes the answers, in the order of their keys, so that two batches never wait
// for each other in a circle. When another replica committed the same request first,
// the transaction starts again, and finds that one's answer.
func keep(tx *gorm.DB, fresh []*creation) error {
	keyed := slices.DeleteFunc(slices.Clone(fresh), func(c *creation) bool { return c.request.Key == "" })
	if len(keyed) == 0 {
		return nil
	}
	slices.SortFunc(keyed, func(a, b *creation) int {
		return cmp.Or(cmp.Compare(a.fresh.CustomerID, b.fresh.CustomerID), bytes.Compare(a.key[:], b.key[:]))
	})
	arguments := make([]any, 0, 6*len(keyed))
	for _, c := range keyed {
		answer, err := json.Marshal(c.made)
		if err != nil {
			return fmt.Errorf("encode the answer with sale %d: %w", c.made.ID, err)
		}
		arguments = append(arguments, c.made.CustomerID, database.Binary(c.key[:]), database.Binary(c.request.Body[:]),
			database.JSON(answer), c.request.RunningUntil, database.Now())
	}
	err := tx.Exec("INSERT INTO requests (customer_id, key_hash, body_hash, answer, running_until, created_at) VALUES "+
		strings.Repeat(",(?,?,?,?,?,?)", len(keyed))[1:], arguments...).Error
	switch {
	case database.IsDuplicate(err):
		return fmt.Errorf("keep %d answers: %w: %w", len(keyed), database.ErrRetry, err)
	case err != nil:
		return fmt.Errorf("keep %d answers: %w", len(keyed), err)
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
