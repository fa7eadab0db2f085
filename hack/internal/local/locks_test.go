package local_test

import (
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// Names of schemas.
const (
	salesSchema = "sales_micro_service"
	stockSchema = "stock_micro_service"
)

// maxDelay is the time by which locks of others may delay an order, and what it takes without
// them on a slow machine.
const maxDelay = 4 * time.Second

// lockRows runs a statement in a transaction that stays open until the test ends, or until
// release is called.
func (s shop) lockRows(t *testing.T, statements ...string) (release func()) {
	t.Helper()
	db, err := sql.Open("mysql", s.MySQL.DSN)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelReadCommitted}) // no locks of gaps
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	for _, statement := range statements {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return func() { _ = tx.Rollback() }
}

func TestLockedStockDelaysOnlySalesOfItsProduct(t *testing.T) {
	t.Parallel()
	s := startShop(t, 100)
	other, err := s.AddProduct(t.Context(), s.manager, client.Product{Name: "Lamp", Price: "5.00", Quantity: 100})
	if err != nil {
		t.Fatal(err)
	}
	release := s.lockRows(t, fmt.Sprintf("SELECT * FROM %s.stocks WHERE product_id = %d FOR UPDATE", stockSchema, s.product))
	locked := s.order(t)
	var orders sync.WaitGroup
	for range 19 {
		orders.Go(func() {
			began := time.Now()
			sale, err := s.Place(t.Context(), s.customer, false, "", client.Item{ProductID: other.ID, Quantity: 1})
			if err != nil {
				t.Error(err)
				return
			}
			s.awaitConfirmed(t, sale.ID)
			if took := time.Since(began); took > maxDelay {
				t.Errorf("sale %d of another product was decided after %s", sale.ID, took)
			}
		})
	}
	orders.Wait()
	if now, err := s.Sale(t.Context(), s.customer, locked.ID); err != nil || now.Status != "Pending" {
		t.Errorf("the sale of the locked product is %s (%v), want it Pending", now.Status, err)
	}
	release()
	s.awaitConfirmed(t, locked.ID)
	s.awaitStock(t, client.Stock{Available: 99, Removed: 1})
}

// TestLockedKeysDelayOnlyTheirOrders locks four stored responses, and inserts four others that
// are not committed. A customer repeats these keys while others place orders.
func TestLockedKeysDelayOnlyTheirOrders(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10_000)
	var statements []string
	for i := range 8 {
		key := fmt.Sprintf("key-%d", i)
		if i < 4 {
			if _, err := s.Place(t.Context(), s.customer, false, key, client.Item{ProductID: s.product, Quantity: 1}); err != nil {
				t.Fatal(err)
			}
			continue
		}
		statements = append(statements, fmt.Sprintf("INSERT INTO %s.requests (customer_id, key_hash, body_hash, response, running_until, created_at) "+
			"SELECT customer_id, UNHEX('%x'), body_hash, response, running_until, created_at "+
			"FROM %[1]s.requests LIMIT 1", salesSchema, sha256.Sum256([]byte(key))))
	}
	s.lockRows(t, append(statements, "SELECT * FROM "+salesSchema+".requests FOR UPDATE")...)
	stop := make(chan struct{})
	var repeats, orders sync.WaitGroup
	for i := range 8 {
		repeats.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := s.Place(t.Context(), s.customer, false, fmt.Sprintf("key-%d", i), client.Item{ProductID: s.product, Quantity: 1})
				if i < 4 && err != nil {
					t.Errorf("a stored response that is locked: %v", err)
				}
				if p, ok := errors.AsType[*client.Problem](err); i >= 4 && (!ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter == "") {
					t.Errorf("a response that is not committed: %v, want 503 with Retry-After", err)
				}
			}
		})
	}
	for n := range 4 {
		orders.Go(func() {
			for i := range 25 {
				began := time.Now()
				_, err := s.Place(t.Context(), s.customer, false, fmt.Sprintf("other-%d-%d", n, i), client.Item{ProductID: s.product, Quantity: 1})
				if took := time.Since(began); err != nil || took > maxDelay {
					t.Errorf("an order with another key: %v after %s", err, took)
				}
			}
		})
	}
	orders.Wait()
	close(stop)
	repeats.Wait()
}
