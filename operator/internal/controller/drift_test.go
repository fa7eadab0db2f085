package controller

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	webhookv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// TestForeignAdditionsAreRemovedOnce changes objects as `kubectl edit` and `kubectl set env`
// do: what they add belongs to another field manager, so that server-side apply keeps it.
func TestForeignAdditionsAreRemovedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	// The API server drops the empty value, a difference that no apply removes.
	f.stack.Spec.Sales.Env = []v1alpha1.EnvVar{{Name: "EMPTY"}}
	f.makeReady(t)
	service, policy, deployment := &corev1.Service{}, &networkingv1.NetworkPolicy{}, &appsv1.Deployment{}
	f.change(t, "demo-stock", service, func() { service.Spec.Selector["version"] = "other" })
	f.change(t, "demo-auth", policy, func() {
		policy.Spec.PodSelector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "never", Operator: metav1.LabelSelectorOpExists}}
	})
	f.change(t, "demo-sales", deployment, func() {
		container := &deployment.Spec.Template.Spec.Containers[0]
		container.Env = append([]corev1.EnvVar{{Name: "ADDED", Value: "x"}}, container.Env...)
		deployment.Annotations["team.example/note"] = "kept"
	})
	for _, object := range []string{"Service demo-stock", "NetworkPolicy demo-auth", "Deployment demo-sales"} {
		f.waitForEvent(t, driftHealed.reason, "apply "+object)
	}
	f.eventually(t, func(context.Context) error {
		f.get(t, "demo-stock", service)
		f.get(t, "demo-auth", policy)
		f.get(t, "demo-sales", deployment)
		env := deployment.Spec.Template.Spec.Containers[0].Env
		added := slices.ContainsFunc(env, func(v corev1.EnvVar) bool { return v.Name == "ADDED" })
		if len(service.Spec.Selector) != 2 || len(policy.Spec.PodSelector.MatchExpressions) > 0 || added {
			return fmt.Errorf("selectors %v, %v, env %v", service.Spec.Selector, policy.Spec.PodSelector, env)
		}
		return nil
	})
	if deployment.Annotations["team.example/note"] != "kept" {
		t.Error("an annotation of others was removed")
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	f.eventually(t, func(context.Context) error { return f.checkNoWritesFor(3, writes.of(f.namespace)) })
	if n := f.countNotes(t, "apply Deployment demo-sales"); n != 1 {
		t.Errorf("%d Events about the Deployment, want 1", n)
	}
}

// TestChangesByWebhookAreNotFought runs an admission webhook that adds a variable to each
// Deployment and replaces the policy by which its images are pulled.
func TestChangesByWebhookAreNotFought(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.runWebhook(t)
	f.makeReady(t)
	deployment := &appsv1.Deployment{}
	f.get(t, "demo-sales", deployment)
	if container := deployment.Spec.Template.Spec.Containers[0]; container.ImagePullPolicy != corev1.PullAlways {
		t.Fatalf("the webhook did not change the policy %s", container.ImagePullPolicy)
	}
	f.eventually(t, func(context.Context) error { return f.checkNoWritesFor(3, writes.of(f.namespace)) })
	if n := f.countNotes(t, "apply Deployment"); n != 0 {
		t.Errorf("%d Events about changes of the webhook, want none", n)
	}
	f.change(t, "demo-sales", deployment, func() { deployment.Spec.Template.Spec.Containers[0].Image = "localhost/other:latest" })
	f.waitForEvent(t, driftHealed.reason, "apply Deployment demo-sales")
}

// runWebhook makes the API server call the webhook for each Deployment of the namespace that
// is written.
func (f *fixture) runWebhook(t *testing.T) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var review admissionv1.AdmissionReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var deployment appsv1.Deployment
		if err := json.Unmarshal(review.Request.Object.Raw, &deployment); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		patch := `{"op": "replace", "path": "/spec/template/spec/containers/0/imagePullPolicy", "value": "Always"}`
		if !slices.ContainsFunc(deployment.Spec.Template.Spec.Containers[0].Env, func(v corev1.EnvVar) bool { return v.Name == "INJECTED" }) {
			patch += `, {"op": "add", "path": "/spec/template/spec/containers/0/env/0", "value": {"name": "INJECTED", "value": "x"}}`
		}
		kind := admissionv1.PatchTypeJSONPatch
		review.Response = &admissionv1.AdmissionResponse{UID: review.Request.UID, Allowed: true, PatchType: &kind, Patch: []byte("[" + patch + "]")}
		_ = json.NewEncoder(w).Encode(review)
	}))
	t.Cleanup(server.Close)
	none, fail := webhookv1.SideEffectClassNone, webhookv1.Fail
	configuration := &webhookv1.MutatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: f.namespace},
		Webhooks: []webhookv1.MutatingWebhook{{
			Name: "deployments.test.example", SideEffects: &none, FailurePolicy: &fail, AdmissionReviewVersions: []string{"v1"},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: f.namespace}},
			ClientConfig: webhookv1.WebhookClientConfig{URL: &server.URL,
				CABundle: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})},
			Rules: []webhookv1.RuleWithOperations{{
				Operations: []webhookv1.OperationType{webhookv1.Create, webhookv1.Update},
				Rule:       webhookv1.Rule{APIGroups: []string{"apps"}, APIVersions: []string{"v1"}, Resources: []string{"deployments"}},
			}},
		}},
	}
	f.create(t, configuration)
	t.Cleanup(func() {
		if err := api.Delete(context.Background(), configuration); err != nil {
			t.Error(err)
		}
	})
	// The API server learns of the webhook a little later.
	f.eventually(t, func(ctx context.Context) error {
		probe := probeDeployment(f.namespace)
		if err := api.Create(ctx, probe, client.DryRunAll); err != nil {
			return err
		}
		if probe.Spec.Template.Spec.Containers[0].ImagePullPolicy != corev1.PullAlways {
			return errors.New("the webhook is not called yet")
		}
		return nil
	})
}

func probeDeployment(namespace string) *appsv1.Deployment {
	labels := map[string]string{"app": "probe"}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "probe"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
				Containers: []corev1.Container{{Name: "probe", Image: "localhost/probe:test", ImagePullPolicy: corev1.PullNever, Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}},
			}},
		},
	}
}

// get reads an object of the namespace.
func (f *fixture) get(t *testing.T, name string, into client.Object) {
	t.Helper()
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: name}, into); err != nil {
		t.Fatal(err)
	}
}

// change modifies an object of the namespace as another field manager.
func (f *fixture) change(t *testing.T, name string, object client.Object, modify func()) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		f.get(t, name, object)
		modify()
		return api.Update(ctx, object, client.FieldOwner("kubectl-edit"))
	})
}

// countNotes returns how often an Event whose note contains a text was observed.
func (f *fixture) countNotes(t *testing.T, text string) int {
	t.Helper()
	list := &eventsv1.EventList{}
	if err := api.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range list.Items {
		if strings.Contains(e.Note, text) {
			n++
			if e.Series != nil {
				n += int(e.Series.Count) - 1
			}
		}
	}
	return n
}

func TestServiceThatCannotBeAppliedDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	// Auth is applied first, and has an object that belongs to someone else.
	f.create(t, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-auth"}})
	f.stack.Spec.Sales.Env = []v1alpha1.EnvVar{{Name: "LOG_LEVEL", Value: "debug"}}
	f.apply(t)
	f.runPods(t)
	message := f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionTrue)
	if !strings.Contains(message, "ServiceAccount") || !strings.Contains(message, "demo-auth") {
		t.Errorf("message %q does not name the object", message)
	}
	deployment := &appsv1.Deployment{}
	for _, service := range services {
		f.get(t, "demo-"+service, deployment)
	}
	f.change(t, "demo-gateway", deployment, func() { deployment.Spec.Template.Spec.Containers[0].Image = "localhost/other:latest" })
	f.waitForEvent(t, driftHealed.reason, "apply Deployment demo-gateway")
}

// TestAutoscalingStartsWithThePresentNumberOfPods watches the Deployment, because the number
// may be lower for a moment only.
func TestAutoscalingStartsWithThePresentNumberOfPods(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	three := int32(3)
	f.stack.Spec.Stock.Replicas = &three
	f.makeReady(t)
	deployment := &appsv1.Deployment{}
	f.get(t, "demo-stock", deployment)
	watching, err := client.NewWithWatch(apiServer, client.Options{Scheme: api.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), eventuallyTimeout)
	defer cancel()
	watcher, err := watching.Watch(ctx, &appsv1.DeploymentList{}, client.InNamespace(f.namespace),
		client.MatchingFields{"metadata.name": "demo-stock"}, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: deployment.ResourceVersion}})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.Stock.Replicas, stack.Spec.Stock.Autoscaling = nil, &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 6, TargetCPU: 75}
		stack.Spec.Stock.Env = []v1alpha1.EnvVar{{Name: "LAST", Value: "change"}}
	})
	for applied := false; !applied; {
		event := <-watcher.ResultChan()
		changed, ok := event.Object.(*appsv1.Deployment)
		if !ok {
			t.Fatalf("watch: %+v", event)
		}
		if n := *changed.Spec.Replicas; n != three {
			t.Fatalf("%d replicas, want 3 until the autoscaler changes them", n)
		}
		env := changed.Spec.Template.Spec.Containers[0].Env
		applied = env[len(env)-1].Name == "LAST"
	}
	// The autoscaler owns the number once it has changed it, and a number in the spec replaces
	// that again.
	f.change(t, "demo-stock", deployment, func() { *deployment.Spec.Replicas = 5 })
	f.eventually(t, func(context.Context) error { return f.checkNoWritesFor(2, writes.of(f.namespace)) })
	f.get(t, "demo-stock", deployment)
	if n := *deployment.Spec.Replicas; n != 5 {
		t.Errorf("%d replicas, want 5 of the autoscaler", n)
	}
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.Stock.Replicas, stack.Spec.Stock.Autoscaling = &three, nil
	})
	f.eventually(t, func(context.Context) error {
		if f.get(t, "demo-stock", deployment); *deployment.Spec.Replicas != three {
			return fmt.Errorf("%d replicas, want 3", *deployment.Spec.Replicas)
		}
		return nil
	})
}
