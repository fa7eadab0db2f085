package controller

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp091 "github.com/rabbitmq/amqp091-go"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/services/event"
)

func TestStackWithExternalServersBecomesReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply(t)
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	live := f.live(t)
	for _, condition := range []string{v1alpha1.ConditionDatabaseReady, v1alpha1.ConditionBrokerReady,
		v1alpha1.ConditionKeysReady, v1alpha1.ConditionWorkloadsReady} {
		f.waitFor(t, condition, metav1.ConditionTrue)
	}
	for _, condition := range []string{v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled} {
		f.waitFor(t, condition, metav1.ConditionFalse)
	}
	if want := "http://demo-gateway." + f.namespace + ".svc:5001"; live.Status.Endpoint != want {
		t.Errorf("endpoint %s, want %s", live.Status.Endpoint, want)
	}
	if live.Status.Version != "test" || live.Status.ObservedGeneration != live.Generation {
		t.Errorf("version %s of generation %d, want test of %d", live.Status.Version, live.Status.ObservedGeneration, live.Generation)
	}
	if len(live.Status.Components) != len(services) || len(live.Status.Inventory) == 0 {
		t.Errorf("%d components and %d objects, want %d and some", len(live.Status.Components), len(live.Status.Inventory), len(services))
	}
	t.Run("services reach their schemas", f.checkSchemaAccess)
	t.Run("an order's event reaches stock", f.checkEventDelivery)
	t.Run("keys sign and verify", f.checkKeysMatch)
}

func (f *fixture) checkSchemaAccess(t *testing.T) {
	for _, service := range schemaServices {
		for _, use := range []struct{ secret, statement string }{
			{service + "-mysql-owner", "CREATE TABLE probe (id INT PRIMARY KEY)"},
			{service + "-mysql", "INSERT INTO probe VALUES (1)"},
		} {
			db, err := sql.Open("mysql", f.value(t, use.secret, "dsn"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Exec(use.statement); err != nil {
				t.Errorf("%s as in Secret %s: %v", use.statement, use.secret, err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// checkEventDelivery publishes as sales and consumes as stock.
func (f *fixture) checkEventDelivery(t *testing.T) {
	open := func(secret string) *amqp091.Channel {
		connection, err := amqp091.Dial(f.value(t, secret, "url"))
		if err != nil {
			t.Fatalf("connect as in Secret %s: %v", secret, err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		channel, err := connection.Channel()
		if err != nil {
			t.Fatal(err)
		}
		return channel
	}
	sales, stock := open("sales-rabbitmq"), open("stock-rabbitmq")
	message := amqp091.Publishing{Body: []byte("{}"), DeliveryMode: amqp091.Persistent}
	if err := sales.PublishWithContext(t.Context(), event.Exchange, event.SaleCreatedType, true, false, message); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, func(context.Context) error {
		_, found, err := stock.Get(event.StockQueue, true)
		if err == nil && !found {
			err = errors.New("no message in the queue")
		}
		return err
	})
}

func (f *fixture) checkKeysMatch(t *testing.T) {
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if err := json.Unmarshal([]byte(f.value(t, "jwks", "jwks.json")), &set); err != nil {
		t.Fatal(err)
	}
	active := f.value(t, "auth-jwt", "active")
	if len(set.Keys) != 1 || set.Keys[0].ID != active || f.live(t).Status.JWT.ActiveKeyID != active {
		t.Errorf("verifiers have %+v, want the active key %s alone", set.Keys, active)
	}
	if got := f.value(t, "manager", "email"); got != defaultManagerEmail {
		t.Errorf("manager's email %s, want %s", got, defaultManagerEmail)
	}
	if got := f.value(t, "manager", "password"); len(got) < 20 {
		t.Errorf("manager's password has %d characters, want at least 20", len(got))
	}
}

func TestReconcilingReadyStackWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	// The last status update triggers a reconciliation by the watch. Wait until that is
	// over.
	f.eventually(t, func(context.Context) error { return f.checkNoWritesFor(2, writes.of(f.namespace)) })
	f.exec(t, "SET GLOBAL log_output = 'TABLE'")
	f.exec(t, "SET GLOBAL general_log = ON")
	t.Cleanup(func() { f.exec(t, "SET GLOBAL general_log = OFF") })
	versions, written, changed := f.managed(t), writes.of(f.namespace), f.changes.Load()
	f.eventually(t, func(context.Context) error { return f.waitForReconciles(4) })
	if diff := cmp.Diff(versions, f.managed(t)); diff != "" {
		t.Errorf("resource versions (-before +after):\n%s", diff)
	}
	if now := writes.of(f.namespace); now != written {
		t.Errorf("%d writes to the API server, want none", now-written)
	}
	if now := f.changes.Load(); now != changed {
		t.Errorf("%d writes to the management API, want none", now-changed)
	}
	reads, changes := f.statements(t)
	if reads == 0 || changes > 0 {
		t.Errorf("%d read and %d write statements in MySQL's log, want some and none", reads, changes)
	}
}

// statements counts the statements in MySQL's log that refer to this test's schemas.
func (f *fixture) statements(t *testing.T) (reads, changes int) {
	t.Helper()
	const about = "SELECT COUNT(*) FROM mysql.general_log WHERE argument LIKE ? AND argument REGEXP ?"
	prefix := "%" + strings.TrimSuffix(f.stack.Spec.MySQL.External.SchemaPrefix, "_") + "%"
	reads = f.count(t, about, prefix, "^[[:space:]]*SELECT")
	changes = f.count(t, about, prefix, "^[[:space:]]*(CREATE|ALTER|DROP|GRANT|REVOKE|INSERT|UPDATE|DELETE|REPLACE|SET PASSWORD)")
	return reads, changes
}

// waitForReconciles waits until the broker was observed n more times.
func (f *fixture) waitForReconciles(n int64) error {
	until := f.observations.Load() + n
	return wait.PollUntilContextTimeout(context.Background(), testResync/20, eventuallyTimeout, true,
		func(context.Context) (bool, error) { return f.observations.Load() >= until, nil })
}

func (f *fixture) checkNoWritesFor(n int64, written int) error {
	if err := f.waitForReconciles(n); err != nil {
		return err
	}
	if now := writes.of(f.namespace); now != written {
		return fmt.Errorf("%d writes", now-written)
	}
	return nil
}

func TestDriftIsCorrected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	schema := f.stack.Spec.MySQL.External.SchemaPrefix + "sales_micro_service"
	vhost := f.namespace + ".demo"

	f.exec(t, "DROP USER '"+f.value(t, "sales-mysql", "username")+"'@'%'")
	f.waitForEvent(t, "DriftHealed", "create account")
	if response, err := f.broker.DeleteQueue(vhost, event.SalesQueue); err != nil {
		t.Fatal(err)
	} else if err := response.Body.Close(); err != nil {
		t.Fatal(err)
	}
	f.waitForEvent(t, "DriftHealed", "create queue "+event.SalesQueue)

	ctx := context.Background()
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-stock"}}
	if err := api.Delete(ctx, service); err != nil {
		t.Fatal(err)
	}
	f.waitForEvent(t, "DriftHealed", "apply Service demo-stock")

	f.eventually(t, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-sales"}, deployment); err != nil {
			return err
		}
		deployment.Spec.Template.Spec.Containers[0].Image = "localhost/evil:latest"
		return api.Update(ctx, deployment)
	})
	f.waitForEvent(t, "DriftHealed", "apply Deployment demo-sales")
	f.runPods(t)

	before := f.deploymentChecksum(t, "sales")
	f.exec(t, "DROP DATABASE "+schema)
	f.waitForEvent(t, "DriftHealed", "create schema "+schema)
	f.eventually(t, func(context.Context) error {
		if f.deploymentChecksum(t, "sales") == before {
			return errors.New("the pods of sales were not replaced, so the new schema is not migrated")
		}
		return nil
	})
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func (f *fixture) deploymentChecksum(t *testing.T, service string) string {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: "demo-" + service}, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment.Spec.Template.Annotations[checksumAnnotation]
}

func TestDeletedCredentialIsReplacedWithItsPods(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	before, password := f.deploymentChecksum(t, "stock"), f.value(t, "stock-mysql", "password")
	if err := api.Delete(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-stock-mysql"}}); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, func(context.Context) error {
		if f.deploymentChecksum(t, "stock") == before {
			return errors.New("the pods of stock were not replaced")
		}
		return nil
	})
	if f.value(t, "stock-mysql", "password") == password {
		t.Error("the password was not replaced")
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestRemovedObjectsArePruned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.Gateway.Ingress = &v1alpha1.IngressSpec{Host: "shop.example"}
	f.makeReady(t)
	if got := f.live(t).Status.Endpoint; got != "http://shop.example" {
		t.Errorf("endpoint %s, want http://shop.example", got)
	}
	if f.managed(t)["Ingress/demo-gateway"] == "" {
		t.Fatal("no Ingress was applied")
	}
	no := false
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.Gateway.Ingress, stack.Spec.NetworkPolicies = nil, &no
	})
	f.eventually(t, func(context.Context) error {
		for object := range f.managed(t) {
			if object == "Ingress/demo-gateway" || object == "NetworkPolicy/demo-sales" {
				return errors.New(object + " is still there")
			}
		}
		return nil
	})
}
