package httpapi_test

import (
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/database"
)

// TestWrongClockDecidesNothing runs a replica whose clock is wrong. It is not parallel, because it
// replaces the clock of the process.
func TestWrongClockDecidesNothing(t *testing.T) { //nolint:paralleltest // see above
	system := database.SystemClock
	t.Cleanup(func() { database.SystemClock = system })
	for _, off := range []time.Duration{15 * time.Minute, time.Hour, 25 * time.Hour, -time.Hour, -25 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) { //nolint:paralleltest // see above
			dsn := schema(t)
			right := openWithoutWatcher(t, dsn) // another replica
			held := right.place(t, `{"hold":true,"items":[{"productId":7,"quantity":2}]}`)
			right.receive(t, reserved(held))
			right.Call(t, "POST", "/sales", right.ann, order, "Idempotency-Key", "right")
			database.SystemClock = func() time.Time { return system().Add(off) }
			defer func() { database.SystemClock = system }()
			wrong := openWithoutWatcher(t, dsn)
			if n, err := wrong.store.Expire(t.Context()); err != nil || n != 0 {
				t.Errorf("canceled %d holds in time, %v", n, err)
			}
			if err := wrong.store.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			if repeated, err := wrong.store.Repeat(t.Context()); err != nil || len(repeated) != 0 {
				t.Errorf("repeated %v in time, %v", repeated, err)
			}
			if a := wrong.Call(t, "POST", "/sales", wrong.ann, order, "Idempotency-Key", "right"); a.Header.Get("Idempotent-Replayed") != "true" {
				t.Errorf("a repeat is not replayed: %d %s", a.Status, a.Body)
			}
			wrong.place(t, `{"hold":true,"items":[{"productId":7,"quantity":2}]}`)
			var misdated int
			err := right.db.Raw("SELECT COUNT(*) FROM sales WHERE created_at NOT BETWEEN NOW(6) - INTERVAL 1 MINUTE AND NOW(6) + INTERVAL 1 MINUTE " +
				"OR expires_at NOT BETWEEN NOW(6) + INTERVAL 14 MINUTE AND NOW(6) + INTERVAL 16 MINUTE").Scan(&misdated).Error
			if err != nil || misdated != 0 {
				t.Errorf("%d sales have the time of the wrong clock, %v", misdated, err)
			}
			if a := wrong.Call(t, "PATCH", path(held), wrong.ann, ""); a.Status != 200 {
				t.Errorf("confirm a hold in time: %d %s", a.Status, a.Body)
			}
		})
	}
}
