package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

func TestKilledPodsLoseNoOrders(t *testing.T) {
	s := newShop(t)
	id := s.product(t, 30)
	var placed []int64
	for i := range 30 {
		if i%10 == 5 {
			mustKubectl(t, "-n", namespace, "delete", "pod", "-l", "app.kubernetes.io/name in (stock, sales)", "--grace-period=0", "--force", "--wait=false")
		}
		placed = append(placed, s.place(t, id, 1))
	}
	for _, sale := range placed {
		s.awaitStatus(t, sale, "Confirmed")
	}
	s.awaitStock(t, id, client.Stock{Removed: 30})
	waitUntilReady(t)
}

// maxFailover is the longest time of a read while a pod is killed: the gateway gives up a
// connection whose peer acknowledges nothing for a second, and reads from another pod.
const maxFailover = 2 * time.Second

// TestReadsDoNotWaitForAKilledPod kills both pods of sales by force, one after the other, while a customer reads their sales, which the gateway does not cache. Its Service
// may still contain the address of the pod. No read may fail or wait for it.
func TestReadsDoNotWaitForAKilledPod(t *testing.T) {
	s := newShop(t)
	setReplicas := func(replicas string) {
		mustKubectl(t, "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"sales":{"replicas":`+replicas+`}}}`)
	}
	awaitTwo := func() {
		mustKubectl(t, "-n", namespace, "wait", "--for=jsonpath={.status.readyReplicas}=2", "deployment/demo-sales", "--timeout=3m")
	}
	setReplicas("2")
	defer func() { setReplicas("null"); waitUntilReady(t) }()
	awaitTwo()
	// The gateway has a connection to one of them at least.
	pods := strings.Fields(mustKubectl(t, "-n", namespace, "get", "pod", "-l", "app.kubernetes.io/name=sales", "-o", "jsonpath={.items[*].metadata.name}"))
	for _, victim := range pods {
		var slowest time.Duration
		reads := 0
		pace := time.NewTicker(20 * time.Millisecond) // The gateway allows 100 requests a second.
		for began := time.Now(); time.Since(began) < maxFailover+3*time.Second; reads++ {
			if reads == 50 {
				mustKubectl(t, "-n", namespace, "delete", "pod", victim, "--grace-period=0", "--force", "--wait=false")
			}
			<-pace.C
			sent := time.Now()
			if err := s.Do(t.Context(), s.customer, http.MethodGet, "/sales", nil, nil); err != nil {
				t.Fatalf("read %d, after the pod %s was killed: %v", reads, victim, err)
			}
			slowest = max(slowest, time.Since(sent))
		}
		pace.Stop()
		t.Logf("%d reads while %s was killed, the slowest took %s", reads, victim, slowest.Round(time.Millisecond))
		if reads <= 50 {
			t.Fatalf("%d reads are too few: the pod was not killed", reads)
		}
		if slowest > maxFailover {
			t.Errorf("a read took %s, want at most %s", slowest, maxFailover)
		}
		awaitTwo()
	}
}

func TestOrdersAreAcceptedWithoutABroker(t *testing.T) {
	s := newShop(t)
	id := s.product(t, 10)
	// Pause the stack, so that the operator does not start the broker again.
	mustKubectl(t, "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"paused":true}}`)
	unpause := func() {
		mustKubectl(t, "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"paused":false}}`)
	}
	resume := true
	defer func() {
		if resume {
			unpause()
		}
	}()
	mustKubectl(t, "-n", namespace, "scale", "statefulset/demo-rabbitmq", "--replicas=0")
	mustKubectl(t, "-n", namespace, "wait", "--for=delete", "pod/demo-rabbitmq-0", "--timeout=2m")
	var placed []int64
	for range 5 {
		sale, err := s.Place(t.Context(), s.customer, false, "", client.Item{ProductID: id, Quantity: 1})
		if err != nil {
			t.Fatalf("an order without a broker: %v, want it accepted", err)
		}
		placed = append(placed, sale.ID)
	}
	unpause()
	resume = false
	for _, sale := range placed {
		s.awaitStatus(t, sale, "Confirmed")
	}
	s.awaitStock(t, id, client.Stock{Available: 5, Removed: 5})
	waitUntilReady(t)
}

func TestDatabaseRestartReturns503(t *testing.T) {
	s := newShop(t)
	id := s.product(t, 10)
	mustKubectl(t, "-n", namespace, "delete", "pod/demo-mysql-0", "--wait=false")
	saw503 := false
	eventually(t, 3*time.Minute, func() (bool, any) {
		err := s.Do(t.Context(), s.customer, http.MethodGet, "/sales", nil, nil)
		switch {
		case isUnavailable(err):
			saw503 = true
		case err != nil:
			t.Fatalf("during the restart of the database: %v, want 503 with Retry-After", err)
		}
		return err == nil && saw503, err
	})
	s.awaitStatus(t, s.place(t, id, 1), "Confirmed")
	s.awaitStock(t, id, client.Stock{Available: 9, Removed: 1})
	waitUntilReady(t)
}

func TestDriftIsCorrected(t *testing.T) {
	newShop(t)
	const queue = "sales.stock-events.dead"
	rabbitmqctl(t, "delete_queue", "--vhost", "shop.demo", queue)
	mustKubectl(t, "-n", namespace, "delete", "service", "demo-stock")
	eventually(t, 3*time.Minute, func() (bool, any) {
		queues := rabbitmqctl(t, "list_queues", "--vhost", "shop.demo", "name")
		_, err := kubectl(t, "", "-n", namespace, "get", "service", "demo-stock")
		return err == nil && strings.Contains(queues, queue), queues
	})
	waitUntilReady(t)
	s := newShop(t)
	s.awaitStatus(t, s.place(t, s.product(t, 1), 1), "Confirmed")
}

func rabbitmqctl(t *testing.T, arguments ...string) string {
	t.Helper()
	return mustKubectl(t, append([]string{"-n", namespace, "exec", "demo-rabbitmq-0", "-c", "rabbitmq", "--", "rabbitmqctl", "--quiet"}, arguments...)...)
}
