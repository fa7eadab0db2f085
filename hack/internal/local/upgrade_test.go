//go:build nightly

package local_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/event"
)

// earlier is the revision that TestUpgradeUnderLoad upgrades from, unless UPGRADE_FROM names another.
// There is no release yet: this is the last commit before the schemas of November 28, 2026, with 6
// migrations of sales, 5 of stock and 3 of auth.
const earlier = "718326a"

// checkout writes the files of a revision to a temporary folder.
func checkout(t *testing.T, revision string) string {
	t.Helper()
	archive, err := exec.CommandContext(t.Context(), "git", "-C", "../../..", "archive", "--format=tar", revision).Output()
	if err != nil {
		t.Fatalf("read the files of %s, in a shallow clone run git fetch --unshallow before: %v", revision, err)
	}
	dir := t.TempDir()
	unpack := exec.CommandContext(t.Context(), "tar", "-x", "-C", dir)
	unpack.Stdin = bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("write the files of %s: %v\n%s", revision, err, out)
	}
	return dir
}

// buyers place orders, and confirm and cancel holds, until they are stopped. A request without a
// response is repeated at another endpoint.
type buyers struct {
	shop

	mu        sync.Mutex
	endpoints []*client.Client
	next      int
	sales     map[int64]bool // acknowledged
	doubled   []int64
}

// use replaces the endpoints.
func (b *buyers) use(urls ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.endpoints = nil
	for _, url := range urls {
		b.endpoints = append(b.endpoints, &client.Client{URL: url})
	}
}

func (b *buyers) endpoint() *client.Client {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.endpoints[b.next%len(b.endpoints)]
}

func (b *buyers) placed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sales)
}

// repeat calls do with one endpoint after the other until it is responded to.
func (b *buyers) repeat(t *testing.T, do func(*client.Client) error) {
	for t.Context().Err() == nil {
		err := do(b.endpoint())
		if err == nil {
			return
		}
		if p, ok := errors.AsType[*client.Problem](err); ok && p.Status < 500 {
			if p.Status != http.StatusConflict { // The saga was faster, or the first attempt still runs.
				t.Errorf("rejected: %v", err)
				return
			}
			if p.Code != "idempotency_in_progress" {
				return
			}
		}
	}
}

// buy places one order after the other until stop is closed. Every third is a hold, which is then
// confirmed or canceled.
func (b *buyers) buy(ctx context.Context, t *testing.T, stop <-chan struct{}) {
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		key, hold := rand.Text(), n%3 == 0
		var sale client.Sale
		b.repeat(t, func(c *client.Client) (err error) {
			sale, err = c.Place(ctx, b.customer, hold, key, client.Item{ProductID: b.product, Quantity: 1})
			return err
		})
		b.mu.Lock()
		if b.sales[sale.ID] {
			b.doubled = append(b.doubled, sale.ID)
		}
		b.sales[sale.ID] = true
		b.mu.Unlock()
		switch n % 6 {
		case 0:
			b.repeat(t, func(c *client.Client) error { return c.Cancel(ctx, b.customer, sale.ID) })
		case 3:
			b.repeat(t, func(c *client.Client) error {
				_, err := c.Confirm(ctx, b.customer, sale.ID)
				return err
			})
		}
	}
}

// TestUpgradeUnderLoad migrates the schemas of an earlier revision while its replicas take orders, runs
// replicas of both revisions side by side, and replaces the earlier ones.
func TestUpgradeUnderLoad(t *testing.T) {
	const stock, buyersAtOnce, ordersPerPhase = 1_000_000, 4, 200
	b := &buyers{shop: startShopOf(t, checkout(t, cmp.Or(os.Getenv("UPGRADE_FROM"), earlier)), stock, "HOLD_TTL=5s"), sales: map[int64]bool{}}
	b.use(b.ServiceURL("sales"))
	stop := make(chan struct{})
	var buying sync.WaitGroup
	for range buyersAtOnce {
		buying.Go(func() { b.buy(t.Context(), t, stop) })
	}
	phase := func(what string) {
		t.Helper()
		before := b.placed()
		testenv.Eventually(t, "orders are accepted "+what, func() bool { return b.placed() >= before+ordersPerPhase || t.Failed() })
		var sale client.Sale
		b.repeat(t, func(c *client.Client) (err error) {
			sale, err = c.Place(t.Context(), b.customer, false, rand.Text(), client.Item{ProductID: b.product, Quantity: 1})
			return err
		})
		b.awaitConfirmed(t, sale.ID)
		b.mu.Lock()
		b.sales[sale.ID] = true
		b.mu.Unlock()
		t.Logf("%d orders are accepted %s", b.placed(), what)
	}
	phase("by the earlier revision")
	if err := b.Upgrade(t.Context(), "../../.."); err != nil {
		t.Fatal(err)
	}
	phase("by the earlier revision with the new schemas")
	urls := []string{b.ServiceURL("sales")}
	for _, service := range []string{"auth", "stock", "sales"} {
		name, err := b.Replica(t.Context(), service)
		if err != nil {
			t.Fatal(err)
		}
		if service == "sales" {
			urls = append(urls, b.ServiceURL(name))
		}
	}
	b.use(urls...)
	phase("by both revisions")
	if err := b.StopService("stock"); err != nil {
		t.Error(err)
	}
	phase("with the new stock")
	b.use(urls[1])
	if err := b.StopService("sales"); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"auth", "stock", "sales", "gateway"} {
		if err := errors.Join(b.StopService(name), b.Restart(t.Context(), name)); err != nil {
			t.Fatal(err)
		}
	}
	b.use(append(urls, b.System.URL)...)
	phase("by the new revision")
	close(stop)
	buying.Wait()

	counts := map[string]int64{}
	for id := range b.sales {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		now, err := b.Await(ctx, b.customer, id, "decided", func(now client.Sale) bool { return now.Status != "Pending" })
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		counts[now.Status]++
	}
	if len(b.doubled) > 0 {
		t.Errorf("the sales %v were returned for two orders", b.doubled)
	}
	if counts["Unauthorized"] > 0 || counts["Canceled"] == 0 || counts["Confirmed"] == 0 {
		t.Errorf("%v, want Confirmed and Canceled ones", counts)
	}
	for id := range b.sales {
		if now, err := b.Sale(t.Context(), b.customer, id); err != nil || now.Status == "Confirmed" {
			b.awaitEntry(t, id, event.StockReleasedType)
		}
	}
	b.awaitStock(t, client.Stock{Available: stock - counts["Confirmed"], Removed: counts["Confirmed"]})
	t.Logf("%d sales: %v", len(b.sales), counts)
}
