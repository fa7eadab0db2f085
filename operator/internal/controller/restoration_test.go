package controller

import (
	"context"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// restoreVariable returns the request in the Deployment of auth, or "".
func (f *fixture) restoreVariable(t *testing.T) string {
	t.Helper()
	for _, variable := range f.deployment(t, "auth").Spec.Template.Spec.Containers[0].Env {
		if variable.Name == "MANAGER_RESTORE" {
			return variable.Value
		}
	}
	return ""
}

// awaitRequest waits until pods of auth get a request other than the previous one, and returns it.
func (f *fixture) awaitRequest(t *testing.T, previous string) string {
	t.Helper()
	var request string
	f.eventually(t, func(context.Context) error {
		if request = f.restoreVariable(t); request == "" || request == previous {
			return fmt.Errorf("MANAGER_RESTORE is %q", request)
		}
		return nil
	})
	return request
}

func (f *fixture) keysMessage(t *testing.T) string {
	t.Helper()
	condition := meta.FindStatusCondition(f.live(t).Status.Conditions, v1alpha1.ConditionKeysReady)
	if condition == nil {
		return ""
	}
	return condition.Message
}

func (f *fixture) awaitRestored(t *testing.T, request string) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		if status := f.live(t).Status.Manager; status == nil || status.RestoreRequest != request || status.LastRestoration.IsZero() {
			return fmt.Errorf("status.manager is %+v, want the request %s", status, request)
		}
		return nil
	})
}

func TestManagerIsRestoredOnRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	if request := f.restoreVariable(t); request != "" {
		t.Errorf("MANAGER_RESTORE is %q without a request", request)
	}
	f.annotate(t, v1alpha1.RestoreManagerAnnotation, strings.Repeat("Saturday ", 1000))
	first := f.awaitRequest(t, "")
	if len(first) > 64 {
		t.Errorf("the request has %d bytes, want at most 64", len(first))
	}
	pod := f.startPod(t, "auth")
	f.eventually(t, func(context.Context) error {
		if message := f.keysMessage(t); !strings.Contains(message, "waiting until a pod of auth has restored the account") {
			return fmt.Errorf("the condition KeysReady does not say what the request waits for: %s", message)
		}
		return nil
	})
	if status := f.live(t).Status.Manager; status != nil {
		t.Errorf("status.manager is %+v before a pod has restored the account", status)
	}
	pod.restore(first)
	f.awaitRestored(t, first)
	f.waitForEvent(t, "Restored", "The manager's account is enabled and has the role Manager and the password in Secret demo-manager")
	f.eventually(t, func(context.Context) error {
		if message := f.keysMessage(t); strings.Contains(message, "restor") {
			return fmt.Errorf("the condition KeysReady still mentions the request: %s", message)
		}
		return nil
	})

	// The request is fulfilled once. Without the status, the pods, which know the request, report it
	// again.
	at := f.live(t).Status.Manager.LastRestoration
	f.scaleStock(t, 3)
	if now := f.live(t).Status.Manager.LastRestoration; !now.Equal(at) {
		t.Errorf("restored again at %s, the first time was %s", now, at)
	}
	f.eventually(t, func(ctx context.Context) error {
		stack := f.live(t)
		stack.Status.Manager = nil
		return api.Status().Update(ctx, stack)
	})
	f.scaleStock(t, 2)
	f.awaitRestored(t, first)
	if request := f.restoreVariable(t); request != first {
		t.Errorf("MANAGER_RESTORE is %q, want %q as long as the annotation exists", request, first)
	}

	f.annotate(t, v1alpha1.RestoreManagerAnnotation, "Sunday")
	second := f.awaitRequest(t, first)
	if done := f.live(t).Status.Manager.RestoreRequest; done != first {
		t.Errorf("status.manager has the request %s, which no pod has fulfilled", done)
	}
	pod.restore(second)
	f.awaitRestored(t, second)
}

func (p *testPod) restore(request string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.restored = request
}

func (f *fixture) deployment(t *testing.T, service string) *appsv1.Deployment {
	t.Helper()
	deployment := &appsv1.Deployment{}
	if err := api.Get(t.Context(), client.ObjectKey{Namespace: f.namespace, Name: "demo-" + service}, deployment); err != nil {
		t.Fatal(err)
	}
	return deployment
}

// scaleStock changes the replicas of stock and waits until that is applied.
func (f *fixture) scaleStock(t *testing.T, replicas int32) {
	t.Helper()
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Stock.Replicas = &replicas })
	eventuallyEqual(t, f, "replicas of stock", replicas, func() int32 { return *f.deployment(t, "stock").Spec.Replicas })
}
