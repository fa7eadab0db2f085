package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// alertLimit is the time in which an alert fires or clears. OutboxAges waits for an age of 60 s.
const alertLimit = 2 * time.Minute

// TestFaultsRaiseAlerts injects three faults while customers place orders. Each raises its
// alert in Alertmanager, and the alert clears when the fault is gone.
func TestFaultsRaiseAlerts(t *testing.T) {
	s := newShop(t)
	startServers(t)
	const quantity = 10000
	id := s.product(t, quantity)
	placed := s.placeContinuously(t, id)
	pause(t)
	// Audits run every 5 minutes otherwise. The operator leaves variables of others as they are.
	mustKubectl(t, "-n", namespace, "set", "env", "deploy/"+stack+"-stock", "AUDIT_INTERVAL=1s")
	defer mustKubectl(t, "-n", namespace, "set", "env", "deploy/"+stack+"-stock", "AUDIT_INTERVAL-")

	// The servers are started again even if an alert does not fire.
	consumerStopped := func(t *testing.T) {
		scale(t, "deploy/"+stack+"-stock", 0)
		defer scale(t, "deploy/"+stack+"-stock", 1)
		awaitAlert(t, "OrdersNotFlowing", true)
	}
	brokerDown := func(t *testing.T) {
		scale(t, "statefulset/"+stack+"-rabbitmq", 0)
		defer scale(t, "statefulset/"+stack+"-rabbitmq", 1)
		awaitAlert(t, "OutboxAges", true)
	}
	ledgerTamperedWith := func(t *testing.T) {
		other := s.product(t, 5)
		change := func(by int) {
			executeSQL(t, fmt.Sprintf("UPDATE stocks SET available = available + %d WHERE product_id = %d", by, other))
		}
		change(1)
		defer change(-1)
		awaitAlert(t, "AuditViolation", true)
	}
	for _, fault := range []struct {
		name, alert string
		inject      func(*testing.T)
	}{
		{"consumer stopped", "OrdersNotFlowing", consumerStopped},
		{"ledger tampered with", "AuditViolation", ledgerTamperedWith},
		{"broker down", "OutboxAges", brokerDown},
	} {
		t.Run(fault.name, func(t *testing.T) {
			awaitAlert(t, fault.alert, false)
			fault.inject(t)
			awaitAlert(t, fault.alert, false)
		})
	}
	sales := placed()
	s.awaitStatus(t, sales[len(sales)-1], "Confirmed")
	s.awaitStock(t, id, client.Stock{Available: quantity - int64(len(sales)), Removed: int64(len(sales))})
}

// pause pauses the stack until the test ends, so that the operator does not correct faults.
func pause(t *testing.T) {
	t.Helper()
	patch := func(t *testing.T, paused bool) {
		t.Helper()
		if out, err := kubectlWith(context.WithoutCancel(t.Context()), "-n", namespace, "patch", "estack", stack, "--type=merge",
			"-p", fmt.Sprintf(`{"spec":{"paused":%t}}`, paused)); err != nil {
			t.Errorf("pause %t: %v\n%s", paused, err, out)
		}
	}
	patch(t, true)
	t.Cleanup(func() {
		patch(t, false)
		if out, err := kubectlWith(context.WithoutCancel(t.Context()), "-n", namespace, "wait", "--for=condition=Ready", "estack/"+stack, "--timeout=4m"); err != nil {
			t.Errorf("the stack is not Ready after the faults: %v\n%s", err, out)
		}
	})
}

// scale sets the number of replicas and waits until they are ready, or gone.
func scale(t *testing.T, workload string, replicas int) {
	t.Helper()
	mustKubectl(t, "-n", namespace, "scale", workload, fmt.Sprintf("--replicas=%d", replicas))
	mustKubectl(t, "-n", namespace, "rollout", "status", workload, "--timeout=3m")
}

// placeContinuously places an order a few times a second. The returned function stops that
// and returns the ids of all acknowledged sales.
func (s shop) placeContinuously(t *testing.T, product int64) (stop func() []int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var ids []int64
	var done sync.WaitGroup
	done.Go(func() {
		for ticker := time.NewTicker(300 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				ticker.Stop()
				return
			case <-ticker.C:
			}
			// Not canceled: otherwise an order could be accepted without its acknowledgment.
			sale, err := s.Place(context.WithoutCancel(ctx), s.customer, false, "", client.Item{ProductID: product, Quantity: 1})
			if err != nil {
				t.Errorf("an order during the faults: %v, want it accepted", err)
				continue
			}
			ids = append(ids, sale.ID)
		}
	})
	stop = func() []int64 { cancel(); done.Wait(); return ids }
	t.Cleanup(func() { stop() })
	return stop
}

// awaitAlert waits until Alertmanager shows an alert of the stack, or none.
func awaitAlert(t *testing.T, name string, firing bool) {
	t.Helper()
	filter := url.Values{"filter": {fmt.Sprintf("alertname=%q", name), fmt.Sprintf("namespace=%q", namespace), fmt.Sprintf("stack=%q", stack)}}
	began := time.Now()
	eventually(t, alertLimit, func() (bool, any) {
		var alerts []struct{ Labels map[string]string }
		if err := get(t, "alertmanager", "/api/v2/alerts", filter, &alerts); err != nil {
			return false, err
		}
		return (len(alerts) > 0) == firing, fmt.Sprintf("%s: %v, want it to fire: %t", name, alerts, firing)
	})
	t.Logf("%s fires: %t after %s", name, firing, time.Since(began).Round(time.Second))
}

// executeSQL executes a statement in the database of stock as the administrator.
func executeSQL(t *testing.T, statement string) {
	t.Helper()
	read := func(key string) string {
		encoded := mustKubectl(t, "-n", namespace, "get", "secret", stack+"-mysql-root", "-o", "jsonpath={.data."+key+"}")
		value, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	// The first line of the input is the password, which must not be on a command line.
	const script = `read -r MYSQL_PWD; export MYSQL_PWD; exec "$(command -v mysql || command -v mariadb)" --user="$0" stock_micro_service`
	out, err := kubectl(t, read("password")+"\n"+statement+";\n", "-n", namespace, "exec", "-i", stack+"-mysql-0", "-c", "mysql", "--", "sh", "-c", script, read("username"))
	if err != nil {
		t.Fatalf("%s: %v\n%s", statement, err, out)
	}
}
