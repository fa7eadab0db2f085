//go:build nightly

package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
)

// TestRotationFailsNoRequest rotates every credential three times under load, and kills the
// operator at every step. No request may fail, and no sale may be lost. `make nightly` runs
// it, because a node updates the files of a Secret once a minute.
func TestRotationFailsNoRequest(t *testing.T) {
	s := newShop(t)
	patchStack(t, `{"spec":{"jwt":{"accessTokenTTL":"1m"}}}`)
	t.Cleanup(func() {
		_, _ = kubectlWith(context.WithoutCancel(t.Context()), "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"jwt":{"accessTokenTTL":"15m"}}}`)
	})
	waitUntilReady(t)
	// The test uses no token that is valid for the 15 minutes of before, and need not wait for them.
	mustKubectl(t, "-n", namespace, "annotate", "--overwrite", "secret", stack+"-auth-jwt", "ecommerce-stack.dev/longest-token=1m0s")
	const quantity = 1_000_000
	product := s.product(t, quantity)
	stopLoad := s.startLoad(t, product)
	stopKills := killOperatorAtEveryStep(t)
	const rounds = 3
	for i := range rounds {
		began := time.Now()
		request := fmt.Sprintf("%s-%d", rand.Text(), i)
		mustKubectl(t, "-n", namespace, "annotate", "--overwrite", "estack", stack,
			"ecommerce-stack.dev/rotate-credentials="+request, "ecommerce-stack.dev/rotate-keys="+request)
		eventually(t, 10*time.Minute, func() (bool, any) { return isRotated(t, namespace, request) })
		t.Logf("rotation %d took %s", i+1, time.Since(began).Round(time.Second))
	}
	killed, seen := stopKills(), stopLoad()
	for _, err := range seen.failed {
		t.Errorf("a request failed: %v", err)
	}
	// With a new token: the ones of before ended with their keys.
	newShop(t).awaitStock(t, product, client.Stock{Available: quantity - seen.orders, Removed: seen.orders})
	t.Logf("%d requests with %d orders, %d failed, the operator killed %d times", seen.requests, seen.orders, len(seen.failed), killed)
	if killed < rounds || seen.orders == 0 {
		t.Errorf("the operator was killed %d times during %d orders: the test proves nothing", killed, seen.orders)
	}
}

func patchStack(t *testing.T, patch string) {
	t.Helper()
	mustKubectl(t, "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", patch)
}

// rotationState is the part of the Secrets that changes at each step of a rotation.
func rotationState(ctx context.Context, namespace string) ([]secretState, error) {
	out, err := kubectlWith(ctx, "-n", namespace, "get", "secrets", "-l", "app.kubernetes.io/instance="+stack+",app.kubernetes.io/managed-by=ecommerce-operator", "-o", "json")
	if err != nil {
		return nil, errors.New(out)
	}
	var list struct{ Items []secretState }
	return list.Items, json.Unmarshal([]byte(out), &list)
}

type secretState struct {
	Metadata struct {
		Name        string
		Annotations map[string]string
	}
	Data map[string]string
}

// isRotated reports whether every credential fulfills the request and no step is left.
func isRotated(t *testing.T, namespace, request string) (bool, any) {
	t.Helper()
	secrets, err := rotationState(t.Context(), namespace)
	if err != nil {
		return false, err
	}
	for _, secret := range secrets {
		name, annotations := strings.TrimPrefix(secret.Metadata.Name, stack+"-"), secret.Metadata.Annotations
		if name == "manager" || name == "jwks" || name == "mysql-exporter" {
			continue
		}
		for _, step := range []string{"retiring", "next-key", "retire-keys-at"} {
			if annotations["ecommerce-stack.dev/"+step] != "" {
				return false, name + " has " + step
			}
		}
		if keys, err := base64.StdEncoding.DecodeString(secret.Data["jwks.json"]); err != nil || strings.Count(string(keys), `"kid"`) > 1 {
			return false, fmt.Sprintf("%s has the previous key (%v)", name, err)
		}
		if annotations["ecommerce-stack.dev/rotation-request"] != request || secret.Data["next-password"] != "" {
			return false, name + " is not rotated"
		}
	}
	return true, nil
}

// killOperatorAtEveryStep kills the operator after each change of the Secrets. The returned
// function ends that, and returns how often it did.
func killOperatorAtEveryStep(t *testing.T) (stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int)
	go func() {
		kills, before := 0, ""
		every(ctx, time.Second, func() {
			secrets, err := rotationState(ctx, namespace)
			if err != nil {
				return // The test ends, or fails when the rotation does not.
			}
			state := fmt.Sprint(secrets)
			if before != "" && state != before {
				if _, err := kubectlWith(ctx, "-n", "ecommerce-system", "delete", "pods", "-l", "app.kubernetes.io/name=operator",
					"--grace-period=0", "--force", "--wait=false"); err == nil {
					kills++
				}
			}
			before = state
		})
		done <- kills
	}()
	return func() int { cancel(); return <-done }
}

// every calls do in an interval until ctx ends.
func every(ctx context.Context, interval time.Duration, do func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			do()
		}
	}
}

// load is what clients saw.
type load struct {
	mu       sync.Mutex
	orders   int64
	requests int
	failed   []error
}

// startLoad places orders and reads, with tokens that are renewed before they expire. The
// returned function ends the load.
func (s shop) startLoad(t *testing.T, product int64) (stop func() *load) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	seen := &load{}
	for _, call := range []func(ctx context.Context, as client.User) error{
		func(ctx context.Context, as client.User) error {
			_, err := s.Place(ctx, as, false, rand.Text(), client.Item{ProductID: product, Quantity: 1})
			if err == nil {
				seen.mu.Lock()
				seen.orders++
				seen.mu.Unlock()
			}
			return err
		},
		func(ctx context.Context, as client.User) error {
			return s.Do(ctx, as, http.MethodGet, "/auth/me", nil, nil)
		},
		func(ctx context.Context, as client.User) error {
			return s.Do(ctx, as, http.MethodGet, "/sales", nil, nil)
		},
	} {
		name, password := strings.ToLower(rand.Text()[:12]), rand.Text()
		as, err := s.Register(t.Context(), name, name+"@example.com", password)
		if err != nil {
			t.Fatal(err)
		}
		renew := time.Now().Add(40 * time.Second)
		// Not canceled: otherwise an order could be accepted without its acknowledgment.
		calls := context.WithoutCancel(ctx)
		workers.Go(func() {
			every(ctx, 100*time.Millisecond, func() {
				var err error
				if time.Now().After(renew) {
					as, err = s.Login(calls, as.Email, password)
					renew = time.Now().Add(40 * time.Second)
				} else {
					err = call(calls, as)
				}
				seen.mu.Lock()
				defer seen.mu.Unlock()
				seen.requests++
				if err != nil {
					seen.failed = append(seen.failed, err)
				}
			})
		})
	}
	return func() *load { cancel(); workers.Wait(); return seen }
}

// TestDeletedAdministratorsAreReplaced deletes the Secrets of the embedded servers'
// administrators: the servers start again with new passwords, and their data remains.
func TestDeletedAdministratorsAreReplaced(t *testing.T) {
	s := newShop(t)
	product := s.product(t, 10)
	s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	mustKubectl(t, "-n", namespace, "delete", "secret", stack+"-mysql-root", stack+"-rabbitmq-admin")
	for _, server := range []string{"mysql", "rabbitmq"} {
		eventually(t, 4*time.Minute, func() (bool, any) {
			uid, err := kubectl(t, "", "-n", namespace, "get", "secret", stack+"-"+map[string]string{"mysql": "mysql-root", "rabbitmq": "rabbitmq-admin"}[server], "-o", "jsonpath={.metadata.uid}")
			if err != nil {
				return false, uid
			}
			pod, err := kubectl(t, "", "-n", namespace, "get", "pod", stack+"-"+server+"-0", "-o", `jsonpath={.metadata.annotations.ecommerce-stack\.dev/admin-secret}`)
			return err == nil && pod == uid, pod
		})
	}
	waitUntilReady(t)
	s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	s.awaitStock(t, product, client.Stock{Available: 8, Removed: 2})
	// The operator can still administer them.
	request := rand.Text()
	mustKubectl(t, "-n", namespace, "annotate", "--overwrite", "estack", stack, "ecommerce-stack.dev/rotate-credentials="+request)
	eventually(t, 5*time.Minute, func() (bool, any) {
		secrets, err := rotationState(t.Context(), namespace)
		if err != nil {
			return false, err
		}
		for _, secret := range secrets {
			if name := secret.Metadata.Name; strings.HasSuffix(name, "-mysql-root") || strings.HasSuffix(name, "-rabbitmq-admin") {
				if secret.Metadata.Annotations["ecommerce-stack.dev/rotation-request"] != request || secret.Data["next-password"] != "" {
					return false, name
				}
			}
		}
		return true, nil
	})
}
