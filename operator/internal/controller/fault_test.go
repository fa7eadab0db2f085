package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/chart"
)

var errStepLimit = errors.New("step limit reached")

// stepLimit stops an operator after a number of steps: writes to the API server, and
// requests to MySQL and RabbitMQ.
type stepLimit struct{ left atomic.Int64 }

func (l *stepLimit) step() error {
	if l.left.Add(-1) < 0 {
		return errStepLimit
	}
	return nil
}

func (l *stepLimit) run(write func() error) error {
	if err := l.step(); err != nil {
		return err
	}
	return write()
}

func (l *stepLimit) dial(ctx context.Context, network, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
	return &limitedConn{connection, l}, err
}

// limitedConn returns an error before a request is sent.
type limitedConn struct {
	net.Conn
	limit *stepLimit
}

func (c *limitedConn) Write(b []byte) (int, error) {
	if err := c.limit.step(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// operator returns a reconciler without a manager and a cache.
func (l *stepLimit) operator(t *testing.T) *Reconciler {
	t.Helper()
	base, err := client.NewWithWatch(apiServer, client.Options{Scheme: api.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	limited := interceptor.NewClient(base, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return l.run(func() error { return c.Create(ctx, o, opts...) })
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			return l.run(func() error { return c.Patch(ctx, o, p, opts...) })
		},
		Apply: func(ctx context.Context, c client.WithWatch, o runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			return l.run(func() error { return c.Apply(ctx, o, opts...) })
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return l.run(func() error { return c.Delete(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return l.run(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	})
	loaded, err := chart.Load(append([]string{charts.MySQL, charts.RabbitMQ}, services...)...)
	if err != nil {
		t.Fatal(err)
	}
	options := testOptions()
	options.Dial = l.dial
	return &Reconciler{
		client: limited, apiReader: base, recorder: events.NewFakeRecorder(1000), charts: loaded, observations: newObservations(), certificates: newCertificates(), causes: newCauses(), endpoints: newEndpoints(testResync, redirects.dial), options: options,
		applier: apply.New(limited, base),
	}
}

// reconcile reconciles until the stack's objects are applied. It reports whether that
// happened before the step limit.
func (f *fixture) reconcile(t *testing.T, r *Reconciler) bool {
	t.Helper()
	for range 5 {
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.stack)}); err != nil {
			return false
		}
		if len(f.live(t).Status.Inventory) > 0 {
			return true
		}
	}
	return false
}

func TestReconcileCompletesAfterCrashAtAnyStep(t *testing.T) {
	f := newFixture(t)
	whole := &stepLimit{}
	whole.left.Store(1 << 30)
	f.stack.Labels = map[string]string{ignoredLabel: "true"}
	f.apply(t)
	if !f.reconcile(t, whole.operator(t)) {
		t.Fatal("an operator without a step limit did not finish")
	}
	steps := 1<<30 - whole.left.Load()
	t.Logf("%d steps from nothing to applied", steps)
	for limit := int64(1); limit < steps; limit += max(1, steps/25) {
		t.Run(fmt.Sprintf("at step %d", limit), func(t *testing.T) {
			f := newFixture(t)
			f.stack.Labels = map[string]string{ignoredLabel: "true"}
			f.apply(t)
			first := &stepLimit{}
			first.left.Store(limit)
			if f.reconcile(t, first.operator(t)) {
				t.Logf("%d steps were sufficient", limit)
			}
			second := &stepLimit{}
			second.left.Store(1 << 30)
			if !f.reconcile(t, second.operator(t)) {
				t.Fatalf("the restarted operator did not finish: %s", f.live(t).Status.Phase)
			}
			f.checkSchemaAccess(t)
		})
	}
}
