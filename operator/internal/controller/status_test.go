package controller

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/chart"
)

// laggingReconciler returns a reconciler whose cache holds the Deployments as they were at
// the last call of the returned function.
func (f *fixture) laggingReconciler(t *testing.T) (r *Reconciler, catchUp func()) {
	t.Helper()
	base, err := client.NewWithWatch(apiServer, client.Options{Scheme: api.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	cached := map[string]*unstructured.Unstructured{}
	lagging := interceptor.NewClient(base, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
			if object, ok := into.(*unstructured.Unstructured); ok && object.GetKind() == "Deployment" && cached[key.Name] != nil {
				cached[key.Name].DeepCopyInto(object)
				return nil
			}
			return c.Get(ctx, key, into, opts...)
		},
	})
	loaded, err := chart.Load(append([]string{charts.MySQL, charts.RabbitMQ}, services...)...)
	if err != nil {
		t.Fatal(err)
	}
	return &Reconciler{
			client: lagging, apiReader: base, recorder: events.NewFakeRecorder(10000), charts: loaded, observations: newObservations(),
			certificates: newCertificates(), causes: newCauses(), endpoints: newEndpoints(testResync, redirects.dial), options: testOptions(), applier: apply.New(lagging, base),
		}, func() {
			for _, service := range services {
				object := &unstructured.Unstructured{}
				object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
				name := f.stack.Name + "-" + service
				if err := base.Get(t.Context(), client.ObjectKey{Namespace: f.namespace, Name: name}, object); err != nil {
					t.Fatal(err)
				}
				cached[name] = object
			}
		}
}

func (f *fixture) reconcileOnce(t *testing.T, r *Reconciler) *v1alpha1.ECommerceStack {
	t.Helper()
	if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.stack)}); err != nil {
		t.Fatal(err)
	}
	return f.live(t)
}

func isReadyAtGeneration(stack *v1alpha1.ECommerceStack) bool {
	ready := meta.FindStatusCondition(stack.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == stack.Generation
}

func TestReadyIsNeverReportedFromAnOldDeployment(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Labels = map[string]string{ignoredLabel: "true"}
	f.apply(t)
	r, catchUp := f.laggingReconciler(t)
	if !f.reconcile(t, r) {
		t.Fatal("the stack was not applied")
	}
	f.runPods(t)
	catchUp()
	if live := f.reconcileOnce(t, r); !isReadyAtGeneration(live) {
		t.Fatalf("not ready: %s", live.Status.Phase)
	}
	// The cache keeps the Deployments of the first spec, whose pods are ready.
	for try := range 100 {
		f.update(t, func(stack *v1alpha1.ECommerceStack) {
			stack.Spec.Gateway.NodeSelector = map[string]string{"try": strconv.Itoa(try)}
		})
		if live := f.reconcileOnce(t, r); isReadyAtGeneration(live) || live.Status.ObservedGeneration != live.Generation {
			t.Fatalf("try %d: Ready at generation %d before the new pods run: %s", try, live.Generation, live.Status.Phase)
		}
	}
	f.runDeployment(t, charts.Gateway)
	catchUp()
	if live := f.reconcileOnce(t, r); !isReadyAtGeneration(live) {
		t.Fatalf("not ready with the new pods: %s", live.Status.Phase)
	}
}

func TestVersionIsWhatRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Image.Tag = "v2" })
	f.waitFor(t, v1alpha1.ConditionWorkloadsReady, metav1.ConditionFalse)
	if live := f.live(t); live.Status.Version != "test" || strings.Contains(fmt.Sprint(live.Status.Components), "v2") {
		t.Errorf("version %s, components %v before the rollout, want test", live.Status.Version, live.Status.Components)
	}
	f.runDeployment(t, charts.Stock)
	f.eventually(t, func(context.Context) error {
		if version := f.live(t).Status.Version; version != "mixed" {
			return fmt.Errorf("version %s with one service rolled out, want mixed", version)
		}
		return nil
	})
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	if version := f.live(t).Status.Version; version != "v2" {
		t.Errorf("version %s after the rollout, want v2", version)
	}
}

func TestTagOfImage(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"": "", "localhost:5000/x/auth:v1": "v1", "localhost:5000/x/auth": "latest", "x/auth:v1@sha256:ab": "v1", "x/auth@sha256:ab": "sha256:ab",
	} {
		if got := imageTagOf(image); got != want {
			t.Errorf("%s: tag %q, want %q", image, got, want)
		}
	}
}

// pod creates a pod of the gateway that is not ready.
func (f *fixture) pod(t *testing.T, component string, status corev1.PodStatus) *corev1.Pod {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		return client.IgnoreAlreadyExists(api.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "default"}}))
	})
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-" + component + "-new", Labels: apply.Labels("demo", component)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: component, Image: "localhost/" + component + ":nope"}}},
	}
	f.create(t, pod)
	pod.Status = status
	if err := api.Status().Update(context.Background(), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// removePod deletes a pod like a kubelet.
func (f *fixture) removePod(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	if err := api.Delete(context.Background(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
}

func container(state corev1.ContainerState, restarts int32) corev1.PodStatus {
	return corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Name: "gateway", Image: "localhost/gateway:nope", State: state, RestartCount: restarts},
	}}
}

func waitingContainer(reason, message string) corev1.PodStatus {
	return container(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}, 0)
}

func crashed(restarts int32) corev1.PodStatus {
	status := container(corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off 40s"}}, restarts)
	status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		ExitCode: 3, Reason: "Error", Message: "starting\nLOG_LEVEL=loud: unknown level\n",
	}
	return status
}

func unschedulable(since time.Duration) corev1.PodStatus {
	return corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		Message: "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", LastTransitionTime: metav1.NewTime(time.Now().Add(-since)),
	}}}
}

func TestCauseOfFailedPodIsReportedOnce(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		status  corev1.PodStatus
		reason  string
		message string
		stalled metav1.ConditionStatus
	}{
		{"bad image", waitingContainer("ErrImagePull", "localhost/gateway:nope: not found"), "ErrImagePull",
			"container gateway, image localhost/gateway:nope: localhost/gateway:nope: not found", metav1.ConditionTrue},
		{"first crash", crashed(1), "CrashLoopBackOff", "container gateway ended with exit code 3: LOG_LEVEL=loud: unknown level", metav1.ConditionFalse},
		{"crash loop", crashed(crashLoopRestarts), "CrashLoopBackOff", "ended with exit code 3: LOG_LEVEL=loud: unknown level", metav1.ConditionTrue},
		{"unschedulable", unschedulable(-time.Hour), "Unschedulable", "didn't match Pod's node affinity/selector", metav1.ConditionFalse},
		{"unschedulable for long", unschedulable(2 * unschedulableGrace), "Unschedulable", "didn't match Pod's node affinity/selector", metav1.ConditionTrue},
	}
	f := newFixture(t)
	f.apply(t)
	for _, c := range cases {
		t.Log(c.name)
		pod := f.pod(t, charts.Gateway, c.status)
		f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, c.reason, c.message, c.stalled)
		f.waitForEvent(t, c.reason, c.message)
		f.removePod(t, pod)
	}
	for _, c := range cases {
		f.countEvents(t, c.reason, 1)
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	f.waitFor(t, v1alpha1.ConditionStalled, metav1.ConditionFalse)
}

// waitForCause waits until a condition and Stalled report a cause.
func (f *fixture) waitForCause(t *testing.T, condition, reason, message string, stalled metav1.ConditionStatus) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		live := f.live(t)
		found := meta.FindStatusCondition(live.Status.Conditions, condition)
		if found == nil || found.Status != metav1.ConditionFalse || found.Reason != reason || !strings.Contains(found.Message, message) {
			return fmt.Errorf("%s is %+v, want False, %s with %q", condition, found, reason, message)
		}
		ready, stuck := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionReady), meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionStalled)
		if stuck == nil || stuck.Status != stalled || !strings.Contains(ready.Message, message) {
			return fmt.Errorf("stalled is %+v, want %s; ready is %+v", stuck, stalled, ready)
		}
		return nil
	})
}

// countEvents checks that there are n Events with a reason, none of them repeated.
func (f *fixture) countEvents(t *testing.T, reason string, n int) {
	t.Helper()
	list := &eventsv1.EventList{}
	if err := api.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range list.Items {
		if e.Reason == reason && e.Regarding.Kind == v1alpha1.Kind {
			found++
			if e.Series != nil {
				found += int(e.Series.Count) - 1
			}
		}
	}
	if found != n {
		t.Errorf("%d Events %s, want %d", found, reason, n)
	}
}

func TestFailureToCreatePodsIsReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.apply(t)
	f.setDeploymentStatus(t, charts.Sales, func(deployment *appsv1.Deployment) {
		deployment.Status = appsv1.DeploymentStatus{ObservedGeneration: deployment.Generation, Conditions: []appsv1.DeploymentCondition{{
			Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: `pods "demo-sales-1" is forbidden: exceeded quota: small`,
		}}}
	})
	f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, "FailedCreate", "exceeded quota: small", metav1.ConditionTrue)
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestInvalidObjectStallsUntilCorrected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.Gateway.Tolerations = []corev1.Toleration{{Key: "not a key", Operator: corev1.TolerationOpExists}}
	f.apply(t)
	f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, "Invalid", "spec.template.spec.tolerations[0].key", metav1.ConditionTrue)
	f.waitForEvent(t, "Invalid", "tolerations[0].key")
	if err := f.waitForReconciles(2); err != nil {
		t.Fatal(err)
	}
	f.countEvents(t, "Invalid", 1)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.Tolerations = nil })
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestTakenNodePortStallsUntilFreed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	taken := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "taken"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeNodePort, Ports: []corev1.ServicePort{{Port: 80}}},
	}
	f.create(t, taken)
	f.stack.Spec.Gateway.Service = v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeNodePort, NodePort: &taken.Spec.Ports[0].NodePort}
	f.apply(t)
	f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, "Invalid", "provided port is already allocated", metav1.ConditionTrue)
	if err := api.Delete(context.Background(), taken); err != nil {
		t.Fatal(err)
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestExceededObjectQuotaStallsUntilRaised(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "small"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/deployments.apps": resource.MustParse("1")}},
	}
	f.create(t, quota)
	// The quota controller does not run.
	quota.Status = corev1.ResourceQuotaStatus{Hard: quota.Spec.Hard, Used: corev1.ResourceList{"count/deployments.apps": resource.MustParse("1")}}
	if err := api.Status().Update(context.Background(), quota); err != nil {
		t.Fatal(err)
	}
	f.apply(t)
	f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, "QuotaExceeded", "exceeded quota: small", metav1.ConditionTrue)
	if err := api.Delete(context.Background(), quota); err != nil {
		t.Fatal(err)
	}
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestPausedStackReportsWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Paused = true })
	f.eventually(t, func(context.Context) error {
		if live := f.live(t); !isReadyAtGeneration(live) || !strings.HasPrefix(live.Status.Phase, "Paused") {
			return errors.New(live.Status.Phase)
		}
		return nil
	})
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-stock"}}
	if err := api.Delete(context.Background(), service); err != nil {
		t.Fatal(err)
	}
	f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, reasonPaused, "missing: apply Service demo-stock", metav1.ConditionFalse)
	f.eventually(t, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-gateway"}, deployment); err != nil {
			return err
		}
		none := int32(0)
		deployment.Spec.Replicas = &none
		return api.Update(ctx, deployment)
	})
	f.runPods(t)
	f.waitForCause(t, v1alpha1.ConditionWorkloadsReady, reasonPaused, "missing: apply Deployment demo-gateway", metav1.ConditionFalse)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Paused = false })
	f.eventually(t, func(ctx context.Context) error { return api.Get(ctx, client.ObjectKeyFromObject(service), service) })
	// The gateway is corrected after the Service.
	f.eventually(t, func(context.Context) error {
		f.runPods(t)
		if live := f.live(t); !isReadyAtGeneration(live) {
			return errors.New(live.Status.Phase)
		}
		return nil
	})
}

func TestRetainedImmutableFieldsAreRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.eventually(t, func(context.Context) error {
		secret := &corev1.Secret{}
		if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: "demo-auth-jwt"}, secret); err != nil {
			return err
		}
		if secret.Annotations[retainedAnnotation] == "" {
			return errors.New("the immutable fields were not stored")
		}
		return nil
	})
	f.deleteStack(t)
	before := f.recreated()
	for _, c := range []struct {
		change  func(*v1alpha1.ECommerceStackSpec)
		message string
	}{
		{func(spec *v1alpha1.ECommerceStackSpec) { spec.Currency = "EUR" },
			"spec.currency is EUR, but the retained data of the stack was created with USD, and it cannot be changed"},
		{func(spec *v1alpha1.ECommerceStackSpec) { spec.MySQL.External.SchemaPrefix = "other_" },
			`spec.mysql.external.schemaPrefix is "other_", but the retained data`},
		{func(spec *v1alpha1.ECommerceStackSpec) {
			spec.RabbitMQ = v1alpha1.RabbitMQSpec{Embedded: &v1alpha1.EmbeddedRabbitMQ{Storage: v1alpha1.StorageSpec{Size: resource.MustParse("1Gi")}}}
		}, "spec.rabbitmq is embedded, but the retained data of the stack was created with external"},
	} {
		f.stack = before.DeepCopy()
		c.change(&f.stack.Spec)
		f.apply(t)
		f.waitForCause(t, v1alpha1.ConditionDatabaseReady, reasonImmutableField, c.message, metav1.ConditionTrue)
		f.waitForEvent(t, reasonImmutableField, c.message)
		if deployments := f.managed(t)["Deployment/demo-sales"]; deployments != "" {
			t.Error("a service of a refused stack was applied")
		}
		f.update(t, func(stack *v1alpha1.ECommerceStack) {
			stack.Annotations = map[string]string{v1alpha1.ForceDeleteAnnotation: "true"}
		})
		f.deleteStack(t)
	}
	f.stack = before
	f.makeReady(t)
}

func TestReplicasOfRetainedBrokerCannotBeLowered(t *testing.T) {
	t.Parallel()
	lowered := &immutableFieldError{replicasField, "3", "1"}
	if want := "spec.rabbitmq.embedded.replicas is 1, but the retained data of the stack was created with 3, and it cannot be lowered: set spec.rabbitmq.embedded.replicas to 3"; !strings.HasPrefix(lowered.Error(), want) {
		t.Errorf("message %q, want %q", lowered, want)
	}
	f := newFixture(t)
	f.stack.Spec.RabbitMQ = v1alpha1.RabbitMQSpec{Embedded: &v1alpha1.EmbeddedRabbitMQ{Replicas: 3, Storage: v1alpha1.StorageSpec{Size: resource.MustParse("1Gi")}}}
	f.apply(t)
	f.waitFor(t, v1alpha1.ConditionKeysReady, metav1.ConditionTrue)
	f.deleteStack(t)
	f.stack = f.recreated()
	f.stack.Spec.RabbitMQ.Embedded.Replicas = 1
	f.apply(t)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonImmutableField, lowered.Error(), metav1.ConditionTrue)
}

func TestLaterDriftHasItsOwnEvent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.waitForEvent(t, "Provisioned", "create schema "+f.stack.Spec.MySQL.External.SchemaPrefix+"users_auth_service")
	f.countEvents(t, "Provisioned", 1)
	for _, name := range []string{"demo-stock", "demo-sales"} {
		if err := api.Delete(context.Background(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}); err != nil {
			t.Fatal(err)
		}
		f.waitForEvent(t, "DriftHealed", "apply Service "+name)
	}
}

func TestBrokerIsReadyWhenAllNodesHaveTheNewRevision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	management, err := url.Parse(f.stack.Spec.RabbitMQ.External.ManagementURL)
	if err != nil {
		t.Fatal(err)
	}
	redirects.redirect("demo-rabbitmq."+f.namespace+".svc:15672", management.Host)
	f.createAdminSecrets(t)
	f.stack.Spec.RabbitMQ = v1alpha1.RabbitMQSpec{Embedded: &v1alpha1.EmbeddedRabbitMQ{Replicas: 3, Storage: v1alpha1.StorageSpec{Size: resource.MustParse("1Gi")}}}
	f.apply(t)
	f.runServer(t, charts.RabbitMQ)
	f.runPods(t)
	// The broker of the test has one node.
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonQueuesDegraded, "has 1 of 3 members, the broker adds the others", metav1.ConditionFalse)
	f.rewrites.Store("/api/queues/"+f.namespace+".demo", func(body any) {
		nodes := []string{"rabbit@a", "rabbit@b", "rabbit@c"}
		for _, queue := range body.([]any) {
			queue.(map[string]any)["members"], queue.(map[string]any)["online"] = nodes, nodes
		}
	})
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)

	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.RabbitMQ.Embedded.Image = "localhost/rabbitmq:nope" })
	f.waitFor(t, v1alpha1.ConditionBrokerReady, metav1.ConditionFalse)
	f.setStatefulSetStatus(t, charts.RabbitMQ, func(set *appsv1.StatefulSet) {
		set.Status.ObservedGeneration, set.Status.UpdateRevision, set.Status.UpdatedReplicas = set.Generation, "b", 1
		set.Status.CurrentReplicas, set.Status.ReadyReplicas, set.Status.AvailableReplicas = 2, 2, 2
	})
	pod := f.pod(t, charts.RabbitMQ, waitingContainer("ImagePullBackOff", "back-off"))
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, "ImagePullBackOff", "ImagePullBackOff: pod "+pod.Name, metav1.ConditionTrue)
	if message := f.waitFor(t, v1alpha1.ConditionBrokerReady, metav1.ConditionFalse); !strings.Contains(message, "2 of 3 pods are ready") {
		t.Errorf("message %q does not count the pods", message)
	}
	f.removePod(t, pod)
	f.setStatefulSetStatus(t, charts.RabbitMQ, func(set *appsv1.StatefulSet) {
		set.Status.ReadyReplicas, set.Status.AvailableReplicas = 3, 3
	})
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonWaiting, "3 of 3 pods are ready, the rollout is in progress", metav1.ConditionFalse)
	f.runServer(t, charts.RabbitMQ)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestFailureToCreatePodsOfServerIsReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.MySQL = v1alpha1.MySQLSpec{Embedded: &v1alpha1.EmbeddedMySQL{Storage: v1alpha1.StorageSpec{Size: resource.MustParse("1Gi")}}}
	f.apply(t)
	set := &appsv1.StatefulSet{}
	f.eventually(t, func(ctx context.Context) error {
		return api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-mysql"}, set)
	})
	record := func(reason, note string) {
		f.create(t, &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-mysql." + strings.ToLower(reason)}, EventTime: metav1.NowMicro(),
			ReportingController: "statefulset-controller", ReportingInstance: "test", Action: "CreatePod", Type: normal, Reason: reason, Note: note,
			Regarding: corev1.ObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Namespace: f.namespace, Name: set.Name, UID: set.UID},
		})
	}
	record(failedCreate, "create Pod demo-mysql-0 failed error: forbidden: exceeded quota: small")
	f.waitForCause(t, v1alpha1.ConditionDatabaseReady, failedCreate, "exceeded quota: small", metav1.ConditionTrue)
	record("SuccessfulCreate", "create Pod demo-mysql-0 successful")
	f.waitForCause(t, v1alpha1.ConditionDatabaseReady, reasonWaiting, "MySQL is starting: 0 of 1 pods are ready", metav1.ConditionFalse)
}

func TestWrongPasswordAndUnreachableServerAreNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	right := f.stack.Spec.DeepCopy()
	f.create(t, f.secret("wrong", "root", "wrong"))
	f.stack.Spec.MySQL.External.AdminSecretRef.Name = "wrong"
	f.stack.Spec.RabbitMQ.External.AdminSecretRef.Name = "wrong"
	f.apply(t)
	f.waitForCause(t, v1alpha1.ConditionDatabaseReady, reasonAccessDenied, "connect to MySQL", metav1.ConditionTrue)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonAccessDenied, "connect to the RabbitMQ management API", metav1.ConditionTrue)
	f.waitForEvent(t, reasonAccessDenied, "connect to MySQL")
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec = *right.DeepCopy()
		stack.Spec.MySQL.External.Port = 1
	})
	f.waitForCause(t, v1alpha1.ConditionDatabaseReady, reasonUnreachable, "connect to MySQL", metav1.ConditionFalse)
	f.waitForEvent(t, reasonUnreachable, "connect to MySQL")
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec = *right.DeepCopy() })
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestQueueWithoutMajorityIsReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	path := "/api/queues/" + f.namespace + ".demo"
	f.rewrites.Store(path, func(body any) {
		queue := body.([]any)[0].(map[string]any)
		queue["members"], queue["online"] = []string{"rabbit@a", "rabbit@b", "rabbit@c"}, []string{"rabbit@a"}
	})
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonQueuesDegraded, "has no majority, 1 of 3 members are online", metav1.ConditionFalse)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonQueuesDegraded, strandedQueueHelp, metav1.ConditionFalse)
	f.waitForEvent(t, reasonQueuesDegraded, "has no majority")
	f.rewrites.Delete(path)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func TestBrokerThatIsTooOldIsReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.rewrites.Store("/api/overview", func(body any) { body.(map[string]any)["rabbitmq_version"] = "3.9.29" })
	f.apply(t)
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonVersionTooOld,
		"its version is 3.9.29, but the services need RabbitMQ 3.10.0 or later", metav1.ConditionTrue)
	f.waitForEvent(t, reasonVersionTooOld, "3.9.29")
	f.rewrites.Delete("/api/overview")
	f.waitFor(t, v1alpha1.ConditionBrokerReady, metav1.ConditionTrue)
}
