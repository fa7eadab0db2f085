package database

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync/atomic"
	"time"

	"gorm.io/gorm"
)

// SystemClock is the clock of the process. Tests replace it.
var SystemClock = time.Now

// maxClockDelay is the longest duration of a statement that sets the clock. A process that was
// suspended during the statement knows the time less exactly. Of maxClockAttempts the last one sets a clock
// that is not set, however long it takes.
const (
	maxClockDelay    = time.Second
	maxClockAttempts = 3
)

// clock is a time of the database with the time at which the process has read it. The
// difference of two times of the process does not depend on its clock being right, and is not
// affected when that is set.
type clock struct{ database, process time.Time }

// current is the clock of the database to which the process last connected.
var current atomic.Pointer[clock]

// Now returns the current time by the clock of the database: UTC, in microseconds. So the times
// of all replicas can be compared, also when the clock of one is wrong. Before the first
// connection it is the time of the process.
func Now() time.Time {
	now := SystemClock()
	if c := current.Load(); c != nil {
		now = c.database.Add(now.Sub(c.process))
	}
	return now.UTC().Truncate(time.Microsecond)
}

// Clock returns a function with the result of Now, for times that are needed before the first
// statement of a request or a task. It connects to the database if the process has not done so yet, as
// the time of the process may be wrong. Its error is that of Classify.
func Clock(db *gorm.DB) func(context.Context) (time.Time, error) {
	return func(ctx context.Context) (time.Time, error) {
		if current.Load() == nil {
			if err := Ping(ctx, db); err != nil {
				return time.Time{}, Classify(fmt.Errorf("read the clock of the database: %w", err))
			}
		}
		return Now(), nil
	}
}

// readClock sets the clock from a new connection. Connections are opened again at least every
// maxLifetime. The first time is read again if that took too long: the server may have taken the time
// before it waited, as a node of Galera does for the transactions of the others.
func readClock(ctx context.Context, conn driver.QueryerContext) error {
	for attempt := 1; ; attempt++ {
		began := SystemClock()
		now, err := selectNow(ctx, conn)
		if err != nil {
			return fmt.Errorf("read the clock of the database: %w", err)
		}
		delay := SystemClock().Sub(began)
		isFirst := current.Load() == nil
		if delay <= maxClockDelay || isFirst && attempt == maxClockAttempts {
			current.Store(&clock{database: now, process: began.Add(delay / 2)})
			return nil
		}
		if !isFirst {
			return nil
		}
	}
}

func selectNow(ctx context.Context, conn driver.QueryerContext) (time.Time, error) {
	rows, err := conn.QueryContext(ctx, "SELECT NOW(6)", nil)
	if err != nil {
		return time.Time{}, err
	}
	defer rows.Close()
	values := make([]driver.Value, 1)
	if err := rows.Next(values); err != nil {
		return time.Time{}, err
	}
	now, ok := values[0].(time.Time)
	if !ok {
		return time.Time{}, fmt.Errorf("got %T", values[0])
	}
	return now, nil
}
