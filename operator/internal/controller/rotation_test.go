package controller

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/jwtkey"
	"ecommerce-stack.dev/operator/internal/mysql"
)

// testPod is a pod of a service that reports JWT keys.
type testPod struct {
	object *corev1.Pod

	mu       sync.Mutex
	report   keyReport
	restored string // the request of a restoration
}

// podAddresses are those of the pods of all tests.
var podAddresses struct {
	sync.Mutex
	last int
}

// startPod creates a pod that was made from the present template of the service's Deployment.
func (f *fixture) startPod(t *testing.T, service string) *testPod {
	t.Helper()
	pod := &testPod{object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: f.namespace, GenerateName: "demo-" + service + "-", Labels: apply.Labels(f.stack.Name, service),
			Annotations: map[string]string{checksumAnnotation: f.deploymentChecksum(t, service)},
		},
		Spec: corev1.PodSpec{NodeName: "node", Containers: []corev1.Container{{Name: service, Image: "localhost/test"}}},
	}}
	f.create(t, pod.object)
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), pod.object, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pod.mu.Lock()
		defer pod.mu.Unlock()
		switch r.URL.Path {
		case "/jwt-keys":
			_ = json.NewEncoder(w).Encode(pod.report)
		case "/manager-restoration":
			_ = json.NewEncoder(w).Encode(restorationReport{pod.restored})
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	podAddresses.Lock()
	podAddresses.last++
	address := fmt.Sprintf("192.0.2.%d", podAddresses.last)
	podAddresses.Unlock()
	redirects.redirect(address+":9090", server.Listener.Addr().String())
	pod.object.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: address, PodIPs: []corev1.PodIP{{IP: address}}}
	if err := api.Status().Update(t.Context(), pod.object); err != nil {
		t.Fatal(err)
	}
	return pod
}

func (p *testPod) use(verifies []string, signs string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report = keyReport{Verifies: verifies, Signs: signs}
}

func (f *fixture) stopPod(t *testing.T, pod *testPod) {
	t.Helper()
	if err := api.Delete(t.Context(), pod.object, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) annotate(t *testing.T, key, value string) {
	t.Helper()
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		if stack.Annotations == nil {
			stack.Annotations = map[string]string{}
		}
		stack.Annotations[key] = value
	})
}

// eventuallyEqual waits until get returns want.
func eventuallyEqual[T comparable](t *testing.T, f *fixture, what string, want T, get func() T) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		if got := get(); got != want {
			return fmt.Errorf("%s is %v, want %v", what, got, want)
		}
		return nil
	})
}

// canConnect reports whether the DSN in a Secret works.
func (f *fixture) canConnect(t *testing.T, secret string) error {
	t.Helper()
	db, err := sql.Open("mysql", f.value(t, secret, "dsn"))
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(t.Context())
}

func TestAccountsRotateWhileOldPodsKeepTheirs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	old, checksums := map[string]*testPod{}, map[string]string{}
	for _, service := range services {
		old[service], checksums[service] = f.startPod(t, service), f.deploymentChecksum(t, service)
	}
	before := f.value(t, "stock-mysql", "username")
	oldDSN, user := f.value(t, "stock-mysql", "dsn"), f.namespace+".demo.stock"
	f.annotate(t, v1alpha1.RotateCredentialsAnnotation, "1")

	eventuallyEqual(t, f, "templates with new credentials", len(services), func() (n int) {
		for _, service := range services {
			if f.deploymentChecksum(t, service) != checksums[service] {
				n++
			}
		}
		return n
	})
	f.eventually(t, func(context.Context) error {
		f.runPods(t)
		if live := f.live(t); !meta.IsStatusConditionTrue(live.Status.Conditions, v1alpha1.ConditionReady) {
			return errors.New(live.Status.Phase)
		}
		return nil
	})
	if now := f.value(t, "stock-mysql", "username"); now == before {
		t.Errorf("the account is still %s", now)
	}
	if now := f.value(t, "stock-rabbitmq", "username"); now != user+"_b" {
		t.Errorf("the user is %s, want %s_b", now, user)
	}
	if err := f.canConnect(t, "stock-mysql"); err != nil {
		t.Errorf("the new account: %v", err)
	}
	f.waitForEvent(t, "Rotated", "MySQL")
	f.waitForEvent(t, "Rotated", "RabbitMQ")

	// An old pod is stopping: it may still connect.
	for range 2 {
		if err := f.waitForReconciles(3); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("mysql", oldDSN)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatalf("the account of a pod that still runs was removed: %v", err)
		}
		_ = db.Close()
		if _, err := f.broker.GetUser(user + "_a"); err != nil {
			t.Fatalf("the user of a pod that still runs was removed: %v", err)
		}
	}
	if f.value(t, "stock-mysql", "next-username") != "" {
		t.Error("another rotation began before the first one ended")
	}
	for _, service := range services {
		f.startPod(t, service)
		f.stopPod(t, old[service])
	}
	eventuallyEqual(t, f, "accounts of the stack", len(schemaServices)*len(schemaPurposes), func() int {
		return f.count(t, "SELECT COUNT(*) FROM mysql.user WHERE User LIKE ?", f.stack.Spec.MySQL.External.SchemaPrefix+"%")
	})
	eventuallyEqual(t, f, "the replaced user is gone", true, func() bool { _, err := f.broker.GetUser(user + "_a"); return err != nil })
	if status := f.live(t).Status.Credentials; status == nil || status.LastRotation == nil || status.NextRotation != nil {
		t.Errorf("status.credentials is %+v, want the last rotation and no next one", status)
	}

	// The same request is fulfilled, and further ones use the first names again.
	name := f.value(t, "stock-mysql", "username")
	if err := f.waitForReconciles(3); err != nil {
		t.Fatal(err)
	}
	if now := f.value(t, "stock-mysql", "username"); now != name {
		t.Errorf("the request was fulfilled twice: %s replaced %s", now, name)
	}
	f.annotate(t, v1alpha1.RotateCredentialsAnnotation, "2")
	eventuallyEqual(t, f, "the account", before, func() string { return f.value(t, "stock-mysql", "username") })
}

func TestAccountBeforePairsIsKeptUntilItsRotation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	schema := f.stack.Spec.MySQL.External.SchemaPrefix + schemas["stock"]
	legacy := mysql.AccountName(schema, "rw")
	secret := &corev1.Secret{}
	f.eventually(t, func(ctx context.Context) error {
		if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-stock-mysql"}, secret); err != nil {
			return err
		}
		secret.Data["username"] = []byte(legacy)
		return api.Update(ctx, secret)
	})
	f.eventually(t, func(context.Context) error { return f.canConnect(t, "stock-mysql") })
	if now := f.value(t, "stock-mysql", "username"); now != legacy {
		t.Fatalf("the account is %s, want %s", now, legacy)
	}
	f.runPods(t)
	f.annotate(t, v1alpha1.RotateCredentialsAnnotation, "1")
	eventuallyEqual(t, f, "the account", mysql.Pair(schema, "rw")[0], func() string { return f.value(t, "stock-mysql", "username") })
}

func TestKeysRotateWithoutInvalidTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	pods := map[string]*testPod{}
	first := f.value(t, "auth-jwt", "active")
	for _, service := range services {
		pods[service] = f.startPod(t, service)
		pods[service].use([]string{first}, "")
	}
	pods["auth"].use([]string{first}, first)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.JWT.Algorithm = jwtkey.EdDSA })

	eventuallyEqual(t, f, "keys of the verifiers", 2, func() int { return len(f.keys(t, "jwks")) })
	second := f.keys(t, "jwks")[1].ID
	for _, service := range services {
		f.eventually(t, func(context.Context) error {
			if message := f.waitFor(t, v1alpha1.ConditionKeysReady, metav1.ConditionTrue); !strings.Contains(message, "waiting until pod demo-"+service) {
				return fmt.Errorf("KeysReady is %q, want that the rotation waits for %s", message, service)
			}
			return nil
		})
		if active := f.value(t, "auth-jwt", "active"); active != first {
			t.Fatalf("key %s signs before %s verifies with it", active, service)
		}
		pods[service].use([]string{first, second}, first)
	}
	eventuallyEqual(t, f, "the active key", second, func() string { return f.value(t, "auth-jwt", "active") })
	f.waitForEvent(t, "Rotated", second)
	f.eventually(t, func(context.Context) error {
		if status := f.live(t).Status.JWT; status == nil || status.ActiveKeyID != second || status.LastRotation == nil {
			return fmt.Errorf("status.jwt is %+v", status)
		}
		return nil
	})
	if annotations := f.annotations(t, "auth-jwt"); annotations[retireAnnotation] != "" {
		t.Errorf("the previous key is to be removed while a pod signs with it: %v", annotations)
	}
	pods["auth"].use([]string{first, second}, second)
	eventuallyEqual(t, f, "the removal is planned", true, func() bool { return f.annotations(t, "auth-jwt")[retireAnnotation] != "" })
	if keys := f.keys(t, "jwks"); len(keys) != 2 {
		t.Fatalf("the previous key was removed before its tokens expired: %v", keys)
	}

	// The time has come.
	f.eventually(t, func(ctx context.Context) error {
		secret := f.secretOf(t, "auth-jwt")
		secret.Annotations[retireAnnotation] = "2020-01-01T00:00:00Z"
		return api.Update(ctx, secret)
	})
	for _, secret := range []string{"auth-jwt", "jwks"} {
		eventuallyEqual(t, f, "keys in "+secret, 1, func() int { return len(f.keys(t, secret)) })
		if key := f.keys(t, secret)[0]; key.ID != second || key.Algorithm != jwtkey.EdDSA || secret == "jwks" && key.D != "" {
			t.Errorf("Secret %s has key %s (%s)", secret, key.ID, key.Algorithm)
		}
	}
}

func (f *fixture) secretOf(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: f.namespace, Name: f.stack.Name + "-" + name}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

func (f *fixture) annotations(t *testing.T, secret string) map[string]string {
	t.Helper()
	return maps.Clone(f.secretOf(t, secret).Annotations)
}

func (f *fixture) keys(t *testing.T, secret string) []jwtkey.Key {
	t.Helper()
	var set jwtkey.Set
	if err := json.Unmarshal(f.secretOf(t, secret).Data[keySetName], &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func TestRotationIntervalsHaveLimits(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	for _, interval := range []string{"59m", "8761h"} {
		for _, field := range []string{"jwt", "credentials"} {
			patch := fmt.Sprintf(`{"spec":{"%s":{"rotationInterval":"%s"}}}`, field, interval)
			err := api.Patch(t.Context(), f.live(t), client.RawPatch("application/merge-patch+json", []byte(patch)))
			if err == nil || !strings.Contains(err.Error(), "spec."+field+".rotationInterval must be between 1h and 8760h") {
				t.Errorf("%s: got %v", patch, err)
			}
		}
	}
	patch := `{"spec":{"jwt":{"rotationInterval":"720h"},"credentials":{"rotationInterval":"2160h"}}}`
	if err := api.Patch(t.Context(), f.live(t), client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		t.Fatal(err)
	}
	f.eventually(t, func(context.Context) error {
		status := f.live(t).Status
		if status.JWT == nil || status.JWT.NextRotation == nil || status.Credentials == nil || status.Credentials.NextRotation == nil {
			return errors.New("the status has no next rotations")
		}
		return nil
	})
}
