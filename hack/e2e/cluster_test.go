package e2e

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/client"
)

// Where `make up` installs the sample stack.
const (
	namespace = "shop"
	stack     = "demo"
)

// gatewayURL is the address of its gateway.
var gatewayURL = cmp.Or(os.Getenv("GATEWAY_URL"), "http://localhost:5001")

// kubectl runs kubectl with the cluster of KUBECONFIG.
func kubectl(t *testing.T, stdin string, arguments ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "kubectl", arguments...)
	if stdin != "" {
		cmd.Stdin = strings.NewReader(stdin)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// kubectlWith is kubectl for a cleanup, when the context of the test is canceled.
func kubectlWith(ctx context.Context, arguments ...string) (string, error) {
	out, err := exec.CommandContext(ctx, "kubectl", arguments...).CombinedOutput()
	return string(out), err
}

func mustKubectl(t *testing.T, arguments ...string) string {
	t.Helper()
	out, err := kubectl(t, "", arguments...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
	return out
}

// shop is a client of the gateway, with a manager and a new customer.
type shop struct {
	*client.Client
	manager, customer client.User
}

func newShop(t *testing.T) shop {
	t.Helper()
	return newShopIn(t, namespace, gatewayURL)
}

// newShopIn returns a shop of the stack in a namespace, whose gateway has the URL.
func newShopIn(t *testing.T, in, url string) shop {
	t.Helper()
	email, password := managerCredentials(t, in)
	s := shop{Client: &client.Client{URL: url}}
	var err error
	if s.manager, err = s.Login(t.Context(), email, password); err != nil {
		t.Fatal(err)
	}
	name := strings.ToLower(rand.Text()[:10])
	if s.customer, err = s.Register(t.Context(), name, name+"@example.com", rand.Text()); err != nil {
		t.Fatal(err)
	}
	return s
}

// needsCluster skips the test in a -short run.
func needsCluster(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a cluster; not part of a -short run")
	}
}

// managerCredentials returns the credentials of the manager of the stack in a namespace.
func managerCredentials(t *testing.T, in string) (email, password string) {
	t.Helper()
	needsCluster(t)
	var secret struct{ Data map[string]string }
	if err := json.Unmarshal([]byte(mustKubectl(t, "-n", in, "get", "secret", stack+"-manager", "-o", "json")), &secret); err != nil {
		t.Fatal(err)
	}
	read := func(key string) string {
		value, err := base64.StdEncoding.DecodeString(secret.Data[key])
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	return read("email"), read("password")
}

func (s shop) product(t *testing.T, quantity int64) int64 {
	t.Helper()
	p, err := s.AddProduct(t.Context(), s.manager, client.Product{Name: "Desk", Price: "19.99", Quantity: quantity})
	if err != nil {
		t.Fatal(err)
	}
	return p.ID
}

// place creates a sale and repeats the request with the same idempotency key until it is
// acknowledged. It returns the ID.
func (s shop) place(t *testing.T, product, quantity int64) int64 {
	t.Helper()
	key := rand.Text()
	for deadline := time.Now().Add(3 * time.Minute); ; {
		sale, err := s.Place(t.Context(), s.customer, false, key, client.Item{ProductID: product, Quantity: quantity})
		if err == nil {
			return sale.ID
		}
		if time.Now().After(deadline) {
			t.Fatalf("an order was not acknowledged within 3 minutes: %v", err)
		}
	}
}

func (s shop) awaitStatus(t *testing.T, id int64, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := s.Await(ctx, s.customer, id, want, func(now client.Sale) bool { return now.Status == want }); err != nil {
		t.Error(err)
	}
}

// awaitStock waits until the stock of a product equals want, and audits the ledger.
func (s shop) awaitStock(t *testing.T, product int64, want client.Stock) {
	t.Helper()
	want.ProductID = product
	eventually(t, 2*time.Minute, func() (bool, any) {
		now, err := s.Stock(t.Context(), s.manager, product)
		return err == nil && now == want, now
	})
	// A killed pod may still have handled the requests above and end before the next one is ready.
	var violations []string
	eventually(t, 2*time.Minute, func() (bool, any) {
		var err error
		if violations, err = s.Audit(t.Context(), s.manager); err != nil && !isUnavailable(err) {
			t.Fatalf("audit: %v", err)
		}
		return err == nil, err
	})
	if len(violations) > 0 {
		t.Errorf("audit: %v", violations)
	}
}

// isUnavailable reports whether the response was 503 with Retry-After.
func isUnavailable(err error) bool {
	p, ok := errors.AsType[*client.Problem](err)
	return ok && p.Status == http.StatusServiceUnavailable && p.RetryAfter != ""
}

// eventually waits until holds returns true. The error contains last.
func eventually(t *testing.T, limit time.Duration, holds func() (ok bool, last any)) {
	t.Helper()
	var last any
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, limit, true, func(context.Context) (ok bool, err error) {
		ok, last = holds()
		return ok, nil
	})
	if err != nil {
		t.Fatalf("not within %s: %v; last: %v", limit, err, last)
	}
}

// waitUntilReady waits until the condition Ready of the stack is true.
func waitUntilReady(t *testing.T) {
	t.Helper()
	mustKubectl(t, "-n", namespace, "wait", "--for=condition=Ready", "estack/"+stack, "--timeout=4m")
}
