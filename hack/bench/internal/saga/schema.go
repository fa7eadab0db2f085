package saga

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/services/event"
)

// traceParent is a trace context (W3C Trace Context) of the size of a real one.
const traceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// message is an event to publish with its encoded form.
type message struct {
	event.Envelope
	body []byte
}

func newMessage(service string, data event.Data, at time.Time) (message, error) {
	e, err := event.New(service, data, at, traceParent)
	if err != nil {
		return message{}, err
	}
	body, err := json.Marshal(e)
	return message{e, body}, err
}

// schema is the schema of a service, with the publisher of its messages. Their rows in the outbox
// are deleted in bulk, concurrently with the saga.
type schema struct {
	db      *sql.DB
	service string
	*publisher
}

// Published rows are deleted when there are deleteBatch rows, or every deleteInterval.
const (
	deleteBatch    = 512
	deleteInterval = 50 * time.Millisecond
)

// openSchema opens a schema with an administrator's DSN and at most limit connections. url is
// that of the broker; without one, messages are not sent.
func openSchema(dsn, name, service string, limit int, url string) (*schema, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("parse the DSN of the database: %w", err)
	}
	config.DBName, config.ParseTime, config.InterpolateParams = name, true, true
	config.Params = map[string]string{"time_zone": "'+00:00'", "tx_isolation": "'READ-COMMITTED'"}
	db, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(limit)
	db.SetMaxIdleConns(limit)
	s := &schema{db: db, service: service}
	s.publisher, err = newPublisher(url, deleteBatch, deleteInterval, s.deletePublished)
	return s, err
}

// deletePublished ignores interrupts, so that published rows are always deleted.
func (s *schema) deletePublished(batch []sent) error {
	var ids []any
	for _, m := range batch {
		ids = append(ids, m.message.ID[:])
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := s.db.ExecContext(ctx, "DELETE FROM outbox WHERE event_id IN "+list(ids), ids...); err != nil {
		return fmt.Errorf("delete published rows: %w", err)
	}
	return nil
}

func (s *schema) close(ctx context.Context) error {
	return errors.Join(s.publisher.close(ctx), s.db.Close())
}

// transact runs do in a transaction, with the outbox rows of the messages, which it returns. It
// repeats the transaction, at most 20 times, after a deadlock or a lock wait timeout.
func (s *schema) transact(ctx context.Context, do func(*tx)) ([]message, error) {
	const attempts, deadlock, lockTimeout = 20, 1213, 1205
	for attempt := 1; ; attempt++ {
		messages, err := s.transactOnce(ctx, do)
		failed, ok := errors.AsType[*mysql.MySQLError](err)
		if err == nil || attempt == attempts || !ok || failed.Number != deadlock && failed.Number != lockTimeout {
			return messages, err
		}
	}
}

func (s *schema) transactOnce(ctx context.Context, do func(*tx)) ([]message, error) {
	begun, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = begun.Rollback() }() // It does nothing after a commit.
	t := &tx{Tx: begun, ctx: ctx, service: s.service, at: time.Now().UTC().Truncate(time.Microsecond)}
	do(t)
	var outbox []any
	for _, m := range t.messages {
		outbox = append(outbox, m.ID[:], m.body)
	}
	t.insert("outbox (event_id, body)", "(?,?)", outbox)
	if t.err != nil {
		return nil, fmt.Errorf("%s: %w", s.service, t.err)
	}
	return t.messages, begun.Commit()
}

// tx is a transaction. After the first error its methods do nothing.
type tx struct {
	*sql.Tx
	ctx      context.Context
	service  string
	at       time.Time
	messages []message
	err      error
}

// fail stores the first error.
func (t *tx) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

// publish adds an event to the messages and returns its encoded form.
func (t *tx) publish(data event.Data) []byte {
	m, err := newMessage(t.service, data, t.at)
	t.fail(err)
	t.messages = append(t.messages, m)
	return m.body
}

func (t *tx) exec(statement string, arguments []any) (firstID int64) {
	if t.err != nil {
		return 0
	}
	res, err := t.ExecContext(t.ctx, statement, arguments...)
	if err == nil {
		firstID, err = res.LastInsertId()
	}
	if err != nil {
		t.fail(fmt.Errorf("%.60s: %w", statement, err))
	}
	return firstID
}

// insert inserts rows and returns the first ID. The IDs are consecutive (MariaDB Server
// Documentation, AUTO_INCREMENT Handling in InnoDB: simple inserts in lock modes 0 and 1).
func (t *tx) insert(into, row string, arguments []any, suffix ...string) (firstID int64) {
	if len(arguments) == 0 {
		return 0
	}
	rows := strings.Repeat(","+row, len(arguments)/strings.Count(row, "?"))[1:]
	return t.exec("INSERT INTO "+into+" VALUES "+rows+strings.Join(suffix, ""), arguments)
}

// query calls scan with each row of a statement, which ends with IN and is followed by the list of
// the arguments and the suffix. Without arguments it does nothing.
func (t *tx) query(statement string, arguments []any, suffix string, scan func(*sql.Rows) error) {
	if t.err != nil || len(arguments) == 0 {
		return
	}
	rows, err := t.QueryContext(t.ctx, statement+list(arguments)+suffix, arguments...)
	if err != nil {
		t.fail(fmt.Errorf("%.60s: %w", statement, err))
		return
	}
	defer rows.Close()
	for rows.Next() {
		t.fail(scan(rows))
	}
	t.fail(rows.Err())
}

// list returns the placeholders of a list of arguments.
func list(arguments []any) string {
	return "(" + strings.Repeat(",?", len(arguments))[1:] + ")"
}

// encode returns the JSON of a value that can always be encoded.
func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// decode returns the data of an event.
func decode[T event.Data](t *tx, e event.Envelope) T {
	data, err := event.Decode[T](e)
	t.fail(err)
	return data
}
