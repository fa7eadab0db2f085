package mysql

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"ecommerce-stack.dev/services/internal/database"
	"ecommerce-stack.dev/services/internal/groupcommit"
	"ecommerce-stack.dev/services/internal/idempotency"
	"ecommerce-stack.dev/services/internal/outbox"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/sales/internal/sale"
)

// Limits of the transactions that concurrent requests share. Two are in flight, so that
// one is prepared while the other waits for the disk.
const (
	commitsInFlight = 2
	maxCommitBatch  = 128
	commitTimeout   = 10 * time.Second
)

func (s *Store) newCreations() *groupcommit.Committer[*creation] {
	return groupcommit.New(groupcommit.Settings[*creation]{
		Commit: s.commitCreations, InFlight: commitsInFlight, MaxBatch: maxCommitBatch, Timeout: commitTimeout,
		ShouldIsolate: func(err error) bool { return !database.IsTransient(err) }, ShouldRetry: database.IsConflict,
	})
}

// creation is a request to create a sale, with its result.
type creation struct {
	fresh       sale.Sale
	request     sale.Request
	key         [sha256.Size]byte
	traceParent string // of the request

	eventTrace string // traceparent of the event
	created    sale.Sale
	replayed   bool
	rejection  error
}

// Create implements sale.Store. It commits the sale, its first timeline entry, its event
// and the stored response together. When the error is context.DeadlineExceeded, the sale
// was not created, unless the COMMIT was sent before the deadline and is executed after
// it. To find out, the request can be repeated with the same key.
func (s *Store) Create(ctx context.Context, fresh sale.Sale, r sale.Request) (sale.Sale, bool, error) {
	c := &creation{fresh: fresh, request: r, key: sha256.Sum256([]byte(r.Key)), traceParent: telemetry.TraceParent(ctx)}
	if err := s.creations.Do(ctx, c); err != nil {
		return sale.Sale{}, false, err
	}
	return c.created, c.replayed, c.rejection
}

// commitCreations creates the sales of a batch, except for repeated requests.
func (s *Store) commitCreations(ctx context.Context, batch []*creation) error {
	ctx, end := startSpans(ctx, batch)
	err := s.createSales(ctx, batch)
	end(err)
	return err
}

// createSales implements commitCreations.
func (s *Store) createSales(ctx context.Context, batch []*creation) error {
	return s.outbox.Transact(ctx, func(tx *outbox.Tx) error {
		fresh, err := replayRepeats(tx.DB, batch)
		if err != nil || len(fresh) == 0 {
			return err
		}
		if err := insertSales(ctx, tx.DB, fresh, s.repeatAfter); err != nil {
			return err
		}
		entries := make([]sale.Entry, len(fresh))
		for i, c := range fresh {
			created := c.created.Created()
			if entries[i], err = sale.NewEntry(c.created.ID, created, c.created.CreatedAt); err != nil {
				return fmt.Errorf("record the creation of sale %d: %w", c.created.ID, err)
			}
			tx.PublishWithTrace(c.eventTrace, created)
		}
		if err := insertEntries(tx.DB, entries); err != nil {
			return err
		}
		return insertResponses(tx.DB, fresh)
	})
}

// insertSales inserts rows and sets the ids of the sales. The ids of one statement have
// equal distances: https://dev.mysql.com/doc/refman/8.4/en/innodb-auto-increment-handling.html
func insertSales(ctx context.Context, tx *gorm.DB, fresh []*creation, repeatAfter time.Duration) error {
	arguments := make([]any, 0, 13*len(fresh))
	for _, c := range fresh {
		r, err := newRow(c.fresh, repeatAfter)
		if err != nil {
			return err
		}
		arguments = append(arguments, r.CustomerID, r.Status, r.Hold, r.Reserved, r.Reason, r.Items,
			r.Shortages, r.Total, r.Currency, r.CreatedAt, r.UpdatedAt, r.ExpiresAt, r.RepeatAt)
	}
	res, err := tx.Statement.ConnPool.ExecContext(ctx, "INSERT INTO sales ("+strings.TrimPrefix(columns, "id, ")+") VALUES "+
		database.Placeholders(len(fresh), 13), arguments...)
	if err != nil {
		return fmt.Errorf("insert %d sales: %w", len(fresh), err)
	}
	first, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("read the ids of %d sales: %w", len(fresh), err)
	}
	step, err := idStep(ctx, tx, first, fresh)
	if err != nil {
		return err
	}
	for i, c := range fresh {
		c.created = c.fresh
		c.created.ID = first + int64(i)*step
	}
	return nil
}

// idStep returns the distance between the ids of sales that one statement has inserted. It is above 1 in a
// cluster with several writers, which changes it when writers join or leave, also during a transaction. Then
// the last sale is not where the distance says, and the error wraps database.ErrRetry.
func idStep(ctx context.Context, tx *gorm.DB, first int64, fresh []*creation) (step int64, err error) {
	rows := len(fresh)
	if rows == 1 {
		return 0, nil
	}
	last := fresh[rows-1].fresh
	err = tx.Statement.ConnPool.QueryRowContext(ctx, "SELECT @@auto_increment_increment FROM sales "+
		"WHERE id = ? + ? * @@auto_increment_increment AND customer_id = ? AND created_at = ?", first, rows-1, last.CustomerID, last.CreatedAt).Scan(&step)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, fmt.Errorf("%w: the distance of ids has changed", database.ErrRetry)
	case err != nil:
		return 0, fmt.Errorf("read the distance of ids: %w", err)
	}
	return step, nil
}

// requestKey identifies a request by its customer and the hash of its idempotency key.
type requestKey struct {
	customerID int64
	hash       [sha256.Size]byte
}

func (c *creation) requestKey() requestKey { return requestKey{c.fresh.CustomerID, c.key} }

// replayRepeats sets the results of the requests in a batch that have a stored response,
// and returns the others.
func replayRepeats(tx *gorm.DB, batch []*creation) ([]*creation, error) {
	stored, err := storedResponses(tx, batch)
	if err != nil {
		return nil, err
	}
	fresh := make([]*creation, 0, len(batch))
	running := map[requestKey]bool{}
	for _, c := range batch {
		c.created, c.replayed, c.rejection = sale.Sale{}, false, nil
		first, repeated := stored[c.requestKey()]
		switch {
		case c.request.Key == "":
			fresh = append(fresh, c)
		case repeated:
			if err := c.replay(first); err != nil {
				return nil, err
			}
		case running[c.requestKey()]:
			c.rejection = idempotency.ErrKeyInUse
		default:
			running[c.requestKey()] = true
			fresh = append(fresh, c)
		}
	}
	return fresh, nil
}

// requestRow is a row of the table requests.
type requestRow struct {
	CustomerID   int64
	KeyHash      []byte
	BodyHash     []byte
	Response     []byte
	RunningUntil *time.Time
}

// storedResponses returns the stored responses to the requests of a batch. It fails at once
// when another transaction has locked one, because an insert would wait for the lock, and with
// it the other requests. A request that is alone needs no lock for a response that is committed.
func storedResponses(tx *gorm.DB, batch []*creation) (map[requestKey]requestRow, error) {
	var arguments []any
	for _, c := range batch {
		if c.request.Key != "" {
			arguments = append(arguments, c.fresh.CustomerID, database.Binary(c.key[:]))
		}
	}
	if len(arguments) == 0 {
		return nil, nil
	}
	rows, err := selectResponses(tx, arguments, "FOR UPDATE NOWAIT")
	if len(batch) == 1 && database.IsConflict(err) {
		committed, readErr := selectResponses(tx, arguments, "")
		if readErr == nil && len(committed) > 0 {
			rows, err = committed, nil
		}
	}
	if err != nil {
		return nil, err
	}
	stored := make(map[requestKey]requestRow, len(rows))
	for _, r := range rows {
		stored[requestKey{r.CustomerID, [sha256.Size]byte(r.KeyHash)}] = r
	}
	return stored, nil
}

// selectResponses reads the stored responses with the keys in arguments.
func selectResponses(tx *gorm.DB, arguments []any, locking string) ([]requestRow, error) {
	var rows []requestRow
	err := tx.Raw("SELECT customer_id, key_hash, body_hash, response, running_until FROM requests WHERE (customer_id, key_hash) IN ("+
		database.Placeholders(len(arguments)/2, 2)+") "+locking, arguments...).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("read stored responses: %w", err)
	}
	return rows, nil
}

// replay sets the result of a repeated request to that of the first one.
func (c *creation) replay(first requestRow) error {
	switch {
	case !bytes.Equal(first.BodyHash, c.request.BodyHash[:]):
		c.rejection = idempotency.ErrKeyReused
	case first.RunningUntil != nil && first.RunningUntil.After(database.Now()):
		c.rejection = idempotency.ErrKeyInUse
	default:
		if err := json.Unmarshal(first.Response, &c.created); err != nil {
			return fmt.Errorf("decode a stored response: %w", err)
		}
		c.replayed = true
	}
	return nil
}

// insertResponses stores the responses in the order of their keys, so that concurrent
// batches do not deadlock. When another replica has committed the same request, the error
// wraps database.ErrRetry, and the next attempt finds its response.
func insertResponses(tx *gorm.DB, fresh []*creation) error {
	keyed := slices.DeleteFunc(slices.Clone(fresh), func(c *creation) bool { return c.request.Key == "" })
	if len(keyed) == 0 {
		return nil
	}
	slices.SortFunc(keyed, func(a, b *creation) int {
		return cmp.Or(cmp.Compare(a.fresh.CustomerID, b.fresh.CustomerID), bytes.Compare(a.key[:], b.key[:]))
	})
	err := database.InsertRows(tx, "requests (customer_id, key_hash, body_hash, response, running_until, created_at)", keyed,
		func(values []any, c *creation) ([]any, error) {
			response, err := json.Marshal(c.created)
			if err != nil {
				return nil, fmt.Errorf("encode the response with sale %d: %w", c.created.ID, err)
			}
			return append(values, c.created.CustomerID, database.Binary(c.key[:]), database.Binary(c.request.BodyHash[:]),
				database.JSON(response), c.request.RunningUntil, database.Now()), nil
		}, "")
	if database.IsDuplicate(err) {
		return fmt.Errorf("%w: %w", database.ErrRetry, err)
	}
	return err
}

// CompleteRequest implements sale.Store.
func (s *Store) CompleteRequest(ctx context.Context, final sale.Sale, r sale.Request) error {
	response, err := json.Marshal(final)
	if err != nil {
		return fmt.Errorf("encode the response with sale %d: %w", final.ID, err)
	}
	key := sha256.Sum256([]byte(r.Key))
	err = s.db.WithContext(ctx).Exec("UPDATE requests SET response = ?, running_until = NULL WHERE customer_id = ? AND key_hash = ?",
		database.JSON(response), final.CustomerID, database.Binary(key[:])).Error
	if err != nil {
		return database.Classify(fmt.Errorf("store the response: %w", err))
	}
	return nil
}
