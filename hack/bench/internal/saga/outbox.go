package saga

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/uuid"
)

// Published rows are deleted when there are deleteBatch rows, or every deleteInterval.
const (
	deleteBatch    = 512
	deleteInterval = 50 * time.Millisecond
)

// outbox deletes published rows in bulk.
type outbox struct {
	db   *sql.DB
	ids  chan uuid.UUID
	done chan struct{}
	mu   sync.Mutex
	err  error
}

func newOutbox(db *sql.DB) *outbox {
	o := &outbox{db: db, ids: make(chan uuid.UUID, 4*deleteBatch), done: make(chan struct{})}
	go o.run()
	return o
}

// published schedules the deletion of messages that the broker has confirmed.
func (o *outbox) published(messages ...Message) {
	for _, m := range messages {
		o.ids <- m.ID
	}
}

func (o *outbox) close() {
	close(o.ids)
	<-o.done
}

func (o *outbox) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *outbox) run() {
	defer close(o.done)
	tick := time.NewTicker(deleteInterval)
	defer tick.Stop()
	var batch []any
	for {
		select {
		case id, ok := <-o.ids:
			if !ok {
				o.remove(batch)
				return
			}
			if batch = append(batch, id[:]); len(batch) == deleteBatch {
				o.remove(batch)
				batch = nil
			}
		case <-tick.C:
			o.remove(batch)
			batch = nil
		}
	}
}

// remove deletes rows. It ignores interrupts, so that published rows are always deleted.
func (o *outbox) remove(ids []any) {
	if len(ids) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := o.db.ExecContext(ctx, "DELETE FROM outbox WHERE event_id IN ("+values("?", len(ids))+")", ids...)
	if err == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.err = errors.Join(o.err, fmt.Errorf("delete published rows: %w", err))
}

func asMySQL(err error) (*mysql.MySQLError, bool) { return errors.AsType[*mysql.MySQLError](err) }
