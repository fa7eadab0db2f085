package local_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/services/event"
)

// shop is a running system with a client, a manager, a customer and one product.
type shop struct {
	*local.System
	*client.Client
	manager, customer client.User
	product           int64
}

func startShop(t *testing.T, stock int64, env ...string) shop {
	t.Helper()
	return startShopOf(t, "../../..", stock, env...)
}

// startShopOf starts the services of a source tree.
func startShopOf(t *testing.T, root string, stock int64, env ...string) shop {
	t.Helper()
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	s, err := local.Start(t.Context(), local.Options{Root: root, Env: append(env, "RATE_LIMIT_RPS=0", "LOGIN_RATE_PER_MINUTE=0", "BCRYPT_COST=4")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			for _, name := range []string{"sales", "stock"} {
				log, _ := os.ReadFile(s.LogFile(name))
				t.Logf("%s:\n%s", name, log[max(0, len(log)-6000):])
			}
		}
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	sh := shop{System: s, Client: &client.Client{URL: s.URL}}
	if sh.manager, err = sh.Login(t.Context(), s.ManagerEmail, s.ManagerPassword); err != nil {
		t.Fatal(err)
	}
	if sh.customer, err = sh.Register(t.Context(), "ann", "ann@example.com", rand.Text()); err != nil {
		t.Fatal(err)
	}
	p, err := sh.AddProduct(t.Context(), sh.manager, client.Product{Name: "Desk", Price: "19.99", Quantity: stock})
	if err != nil {
		t.Fatal(err)
	}
	sh.product = p.ID
	return sh
}

func (s shop) order(t *testing.T) client.Sale {
	t.Helper()
	sale, err := s.Place(t.Context(), s.customer, false, rand.Text(), client.Item{ProductID: s.product, Quantity: 1})
	if err != nil {
		t.Fatalf("place an order: %v", err)
	}
	return sale
}

func (s shop) awaitConfirmed(t *testing.T, id int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := s.Await(ctx, s.customer, id, "Confirmed", func(now client.Sale) bool { return now.Status == "Confirmed" }); err != nil {
		t.Error(err)
	}
}

// awaitStock waits until the stock of the product equals want and all queues are
// empty. It then checks that the audit finds no violations and that no message was
// dead-lettered.
func (s shop) awaitStock(t *testing.T, want client.Stock) {
	t.Helper()
	want.ProductID = s.product
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		now, err := s.Stock(ctx, s.manager, s.product)
		if err == nil && now == want {
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("stock is %+v (%v), want %+v", now, err, want)
		}
	}
	if violations, err := s.Audit(t.Context(), s.manager); err != nil || len(violations) > 0 {
		t.Errorf("audit: %v %v", violations, err)
	}
	management, err := s.RabbitMQ.Info.Management()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range event.Queues {
		for _, name := range []string{q.Name, q.DeadLetterQueue()} {
			for ctx.Err() == nil {
				if queue, err := management.GetQueue(local.VHost, name); err == nil && queue.Messages == 0 {
					break
				}
			}
		}
	}
	if ctx.Err() != nil {
		t.Error("a queue is not empty")
	}
	if deadLetters, err := s.DeadLetters(t.Context(), s.manager); err != nil || len(deadLetters) > 0 {
		t.Errorf("dead letters: %v %v, want none", deadLetters, err)
	}
}

func TestOrdersWithoutBrokerAreDecidedAfterReconnect(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10)
	s.awaitConfirmed(t, s.order(t).ID)
	s.BrokerLink.Disconnect()
	var placed []client.Sale
	for range 3 {
		placed = append(placed, s.order(t))
	}
	// The outbox survives a restart.
	if err := s.StopService("sales"); err != nil {
		t.Error(err)
	}
	if err := s.Restart(t.Context(), "sales"); err != nil {
		t.Fatal(err)
	}
	placed = append(placed, s.order(t))
	for _, sale := range placed {
		if now, err := s.Sale(t.Context(), s.customer, sale.ID); err != nil || now.Status != "Pending" {
			t.Errorf("sale %d is %s without a broker (%v), want Pending", sale.ID, now.Status, err)
		}
	}
	if err := s.BrokerLink.Reconnect(); err != nil {
		t.Fatal(err)
	}
	for _, sale := range placed {
		s.awaitConfirmed(t, sale.ID)
	}
	s.awaitStock(t, client.Stock{Available: 5, Removed: 5})
}

func TestRequestsWithoutDatabaseReturn503(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10)
	s.MySQLLink.Disconnect()
	body := map[string]any{"items": []client.Item{{ProductID: s.product, Quantity: 1}}}
	for _, call := range []struct {
		as           client.User
		method, path string
		body         any
	}{
		{s.customer, http.MethodPost, "/sales", body},
		{s.customer, http.MethodGet, "/sales", nil},
		{s.manager, http.MethodGet, fmt.Sprintf("/stock/%d", s.product), nil},
		{s.manager, http.MethodPost, fmt.Sprintf("/stock/%d/receive/1", s.product), nil},
		{client.User{}, http.MethodPost, "/auth/login", map[string]string{"email": "ann@example.com", "password": "wrong"}},
	} {
		err := s.Do(t.Context(), call.as, call.method, call.path, call.body, nil)
		p, ok := errors.AsType[*client.Problem](err)
		if !ok || p.Status != http.StatusServiceUnavailable || p.RetryAfter == "" {
			t.Errorf("%s %s: %v (Retry-After %q), want 503 with Retry-After", call.method, call.path, err, retryAfter(p))
		}
	}
	if err := s.MySQLLink.Reconnect(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	var sale client.Sale
	for {
		var err error
		if sale, err = s.Place(t.Context(), s.customer, false, "", client.Item{ProductID: s.product, Quantity: 1}); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no order within 30 s after the database was reconnected: %v", err)
		}
	}
	s.awaitConfirmed(t, sale.ID)
	s.awaitStock(t, client.Stock{Available: 9, Removed: 1})
}

func retryAfter(p *client.Problem) string {
	if p == nil {
		return ""
	}
	return p.RetryAfter
}

func TestHoldExpiresWhileServiceIsStopped(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10, "HOLD_TTL=2s")
	held, err := s.Place(t.Context(), s.customer, true, "", client.Item{ProductID: s.product, Quantity: 3})
	if err != nil {
		t.Fatal(err)
	}
	s.Kill("sales")
	<-time.After(3 * time.Second) // longer than HOLD_TTL
	if err := s.Restart(t.Context(), "sales"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	expired := func(now client.Sale) bool { return now.Status == "Canceled" && now.Reason == "expired" }
	if _, err := s.Await(ctx, s.customer, held.ID, "Canceled because it expired", expired); err != nil {
		t.Error(err)
	}
	s.awaitStock(t, client.Stock{Available: 10})
}

// TestCrashesUnderLoadLoseAndDuplicateNothing kills services during concurrent
// orders, repeats each order until it is acknowledged, and compares the sales and
// the stock with the orders.
func TestCrashesUnderLoadLoseAndDuplicateNothing(t *testing.T) {
	t.Parallel()
	const workers, each = 6, 25
	s := startShop(t, workers*each/2) // Half of the orders exceed the stock.
	var mu sync.Mutex
	var placed []int64
	finished := make(chan struct{}, workers*each)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				key := rand.Text()
				for t.Context().Err() == nil {
					sale, err := s.Place(t.Context(), s.customer, false, key, client.Item{ProductID: s.product, Quantity: 1})
					if err == nil {
						mu.Lock()
						placed = append(placed, sale.ID)
						mu.Unlock()
						break
					}
					if p, ok := errors.AsType[*client.Problem](err); ok && p.Status < 500 && p.Status != http.StatusConflict {
						t.Errorf("order rejected: %v", err)
						break
					}
				}
				finished <- struct{}{}
			}
		})
	}
	crashed := make(chan struct{})
	go func() {
		defer close(crashed)
		for _, name := range []string{"stock", "sales", "stock", "sales", "gateway"} {
			for range workers * each / 6 { // Each crash happens between orders.
				<-finished
			}
			s.Kill(name)
			if err := s.Restart(t.Context(), name); err != nil {
				t.Errorf("restart %s: %v", name, err)
			}
		}
	}()
	wg.Wait()
	<-crashed
	counts := map[string]int{}
	seen := map[int64]bool{}
	for _, id := range placed {
		if seen[id] {
			t.Errorf("sale %d was returned for two orders", id)
		}
		seen[id] = true
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		now, err := s.Await(ctx, s.customer, id, "decided", func(now client.Sale) bool { return now.Status != "Pending" })
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		counts[now.Status]++
	}
	if len(placed) != workers*each || counts["Confirmed"] != workers*each/2 || counts["Unauthorized"] != workers*each/2 {
		t.Errorf("%d orders have the statuses %v, want %d, half of them Confirmed and half Unauthorized", len(placed), counts, workers*each)
	}
	s.awaitStock(t, client.Stock{Removed: workers * each / 2})
	var all []int64
	for cursor := ""; ; {
		var page struct {
			Items      []client.Sale
			NextCursor string
		}
		if err := s.Do(t.Context(), s.customer, http.MethodGet, "/sales?limit=200&cursor="+cursor, nil, &page); err != nil {
			t.Fatal(err)
		}
		for _, sale := range page.Items {
			all = append(all, sale.ID)
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if len(all) != workers*each {
		t.Errorf("the customer has %d sales, want %d, one for each key", len(all), workers*each)
	}
}

// TestInvalidEventIsDeadLettered publishes an invalid event and checks that it is
// stored as a dead letter, returns there after a redrive, and can be deleted, while
// valid events are handled.
func TestInvalidEventIsDeadLettered(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10)
	management, err := s.RabbitMQ.Info.Management()
	if err != nil {
		t.Fatal(err)
	}
	const invalid = `{"specversion":"1.0"`
	publish(t, management, invalid)
	s.awaitConfirmed(t, s.order(t).ID)
	deadLetter := s.deadLetter(t, 0)
	if deadLetter.Queue != event.StockQueue || deadLetter.Body != invalid {
		t.Errorf("dead letter %+v", deadLetter)
	}
	// The event is still invalid, so it is dead-lettered again.
	path := fmt.Sprintf("/admin/dead-letters/%d", deadLetter.ID)
	if err := s.Do(t.Context(), s.manager, http.MethodPost, path+"/redrive", nil, nil); err != nil {
		t.Fatal(err)
	}
	deadLetter = s.deadLetter(t, deadLetter.ID)
	if err := s.Do(t.Context(), s.manager, http.MethodDelete, fmt.Sprintf("/admin/dead-letters/%d", deadLetter.ID), nil, nil); err != nil {
		t.Fatal(err)
	}
	s.awaitConfirmed(t, s.order(t).ID)
	s.awaitStock(t, client.Stock{Available: 8, Removed: 2})
}

// deadLetter waits until exactly one dead letter exists whose ID is not equal to
// not, and returns it.
func (s shop) deadLetter(t *testing.T, not int64) client.DeadLetter {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		deadLetters, err := s.DeadLetters(t.Context(), s.manager)
		if err == nil && len(deadLetters) == 1 && deadLetters[0].ID != not {
			return deadLetters[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("dead letters %v, want one with an ID other than %d (%v)", deadLetters, not, err)
		}
	}
}

func publish(t *testing.T, management *rabbithole.Client, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		management.Endpoint+"/api/exchanges/"+local.VHost+"/"+event.Exchange+"/publish",
		bytes.NewReader([]byte(`{"properties":{},"routing_key":"`+event.SaleCreatedType+`","payload_encoding":"string","payload":`+
			fmt.Sprintf("%q", body)+`}`)))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(management.Username, management.Password)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("publish: %s", res.Status)
	}
}

// TestLogsContainNoSecrets searches the services' logs for the system's passwords.
func TestLogsContainNoSecrets(t *testing.T) {
	t.Parallel()
	s := startShop(t, 10)
	s.awaitConfirmed(t, s.order(t).ID)
	s.BrokerLink.Disconnect()
	s.MySQLLink.Disconnect()
	_ = s.Do(t.Context(), s.customer, http.MethodGet, "/sales", nil, nil) // It fails and is logged.
	for _, name := range []string{"gateway", "sales", "stock", "auth"} {
		if err := s.StopService(name); err != nil { // It flushes its log.
			t.Error(err)
		}
		log, err := os.ReadFile(s.LogFile(name))
		if err != nil || len(log) == 0 {
			t.Errorf("log of %s: %d bytes, %v", name, len(log), err)
		}
		for _, secret := range s.Secrets() {
			if strings.Contains(string(log), secret) {
				t.Errorf("the log of %s contains a secret", name)
			}
		}
	}
}
