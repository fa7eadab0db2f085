package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// reconcileWorkloads applies the four services and waits until their pods are ready. It
// waits first for the Secrets that they mount. Only the Secrets are consulted, so that
// services are corrected even while a database or broker is unavailable.
func (r *reconciliation) reconcileWorkloads(ctx context.Context) (phaseResult, error) {
	checksums, missing, err := r.secretChecksums(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	if len(missing) > 0 {
		return phaseWaiting("Waiting for the credentials in Secret %s", strings.Join(missing, ", "))
	}
	for _, service := range backends {
		if err := r.applyChart(ctx, service, serviceValues(r.stack, r.options, service, checksums[service])); err != nil {
			return phaseResult{}, err
		}
	}
	if problem, err := r.applyGateway(ctx, checksums[charts.Gateway]); err != nil || problem != "" {
		return phaseResult{waiting: true, message: problem}, err
	}
	r.stack.Status.Inventory = r.inventory
	var pending []string
	for _, service := range services {
		state, err := r.deploymentStatus(ctx, service)
		if err != nil {
			return phaseResult{}, err
		}
		if reason := state.notReadyReason(); reason != "" {
			pending = append(pending, service+" "+reason)
		}
	}
	if len(pending) > 0 {
		return phaseWaiting("The services are starting: %s", strings.Join(pending, ", "))
	}
	return phaseReady("%d services are applied and their pods are ready", len(services))
}

// secretChecksums returns, by service, a checksum of the Secrets whose change must replace
// the pods. It also returns the names of Secrets that are missing or whose account does not
// exist yet.
func (r *reconciliation) secretChecksums(ctx context.Context) (map[string]string, []string, error) {
	checksums := map[string]string{}
	var missing []string
	for _, service := range services {
		var parts []any
		for _, suffix := range []string{"mysql-owner", "mysql", "rabbitmq"} {
			if suffix != "rabbitmq" && schemas[service] == "" || suffix == "rabbitmq" && !slices.Contains(brokerServices, service) {
				continue
			}
			secret := &corev1.Secret{}
			secretName := objectName(r.stack, service+"-"+suffix)
			err := r.client.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: secretName}, secret)
			if client.IgnoreNotFound(err) != nil {
				return nil, nil, fmt.Errorf("read Secret %s: %w", secretName, err)
			}
			if err != nil || secret.Annotations[provisionedAnnotation] == "" {
				missing = append(missing, secretName)
			}
			// What pods read, and not the next credential of a rotation.
			parts = append(parts, secret.Data["dsn"], secret.Data["url"], secret.Annotations[provisionedAnnotation])
		}
		if service == charts.Auth {
			account, err := r.managerCredentials(ctx)
			if err != nil {
				return nil, nil, err
			}
			if account == nil {
				missing = append(missing, managerSecretName(r.stack))
			}
			parts = append(parts, account)
		}
		var err error
		if checksums[service], err = hashJSON(parts...); err != nil {
			return nil, nil, err
		}
	}
	return checksums, missing, nil
}

// managerCredentials returns nil if the Secret does not exist.
func (r *reconciliation) managerCredentials(ctx context.Context) (map[string][]byte, error) {
	var reader client.Reader = r.client
	if r.stack.Spec.Manager.SecretRef != nil {
		reader = r.apiReader
	}
	secret := &corev1.Secret{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: managerSecretName(r.stack)}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", managerSecretName(r.stack), err)
	}
	return secret.Data, nil
}

// applyChart renders a chart and applies its objects.
func (r *reconciliation) applyChart(ctx context.Context, component string, typed values) error {
	metrics, found := typed["metrics"].(values)
	if !found {
		metrics = values{}
	}
	metrics["podMonitor"] = r.podMonitorValues()
	typed["metrics"] = metrics
	values, err := toMap(typed)
	if err != nil {
		return err
	}
	objects, err := r.charts.Render(component, r.stack.Name, r.stack.Namespace, values)
	if err != nil {
		return err
	}
	set := r.componentSet(component)
	set.Objects = objects
	changes, err := r.applier.Apply(ctx, set)
	r.recordAppliedChanges(ctx, changes)
	for _, object := range objects {
		r.inventory = append(r.inventory, v1alpha1.ObjectReference{
			APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Name: object.GetName(),
		})
		if err == nil && object.GetKind() == apply.PodMonitor.Kind {
			r.podMonitors.applied++
		}
	}
	return err
}

// componentSet returns the set of a component without its objects.
func (r *reconciliation) componentSet(name string) apply.Set {
	yes := true
	var optional []schema.GroupVersionKind
	if name == charts.Gateway {
		optional = append(optional, apply.HTTPRoute)
	}
	if r.podMonitors.served {
		optional = append(optional, apply.PodMonitor)
	}
	return apply.Set{
		Optional:  optional,
		Namespace: r.stack.Namespace, Instance: r.stack.Name, Component: name, Adopt: r.stack.Spec.Adopt,
		Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: r.stack.Name, UID: r.stack.UID,
			Controller: &yes, BlockOwnerDeletion: &yes,
		},
	}
}

// applyEmbeddedServer applies the chart of an embedded server and returns its number of
// ready and desired pods.
func (r *reconciliation) applyEmbeddedServer(ctx context.Context, component string, admin *corev1.Secret, typed values) (ready, desired int32, err error) {
	// The server takes the administrator's password from the Secret when it starts. A Secret
	// that was deleted and created again has another one, so the pods are replaced.
	typed["podAnnotations"] = values{adminAnnotation: string(admin.UID)}
	if err := r.applyChart(ctx, component, typed); err != nil {
		return 0, 0, err
	}
	state, err := r.statefulSetStatus(ctx, component)
	return state.ready, state.desired, err
}

// workloadStatus is the observed state of a Deployment or StatefulSet.
type workloadStatus struct {
	found          bool
	ready, desired int32
	// rolling reports whether pods of an older revision still exist.
	rolling bool
	// failure is the Deployment's message about pods that cannot be created or do not
	// become ready.
	failure string
	image   string
}

// notReadyReason returns why the workload is not ready, or "" if it is.
func (w workloadStatus) notReadyReason() string {
	switch {
	case w.failure != "":
		return fmt.Sprintf("%d of %d (%s)", w.ready, w.desired, w.failure)
	case !w.found || w.ready < w.desired:
		return fmt.Sprintf("%d of %d", w.ready, w.desired)
	case w.rolling:
		return "rollout in progress"
	}
	return ""
}

func (r *reconciliation) deploymentStatus(ctx context.Context, component string) (workloadStatus, error) {
	var d appsv1.Deployment
	found, err := r.getWorkload(ctx, "Deployment", component, &d)
	if err != nil || !found {
		return workloadStatus{desired: 1}, err
	}
	state := workloadStatus{
		found: true, ready: d.Status.AvailableReplicas, desired: *d.Spec.Replicas, image: mainImage(d.Spec.Template.Spec),
		rolling: d.Status.ObservedGeneration < d.Generation || d.Status.UpdatedReplicas < *d.Spec.Replicas ||
			d.Status.Replicas > d.Status.UpdatedReplicas,
	}
	for _, condition := range d.Status.Conditions {
		failing := condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue ||
			condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse
		if failing {
			state.failure = condition.Message
		}
	}
	return state, nil
}

func (r *reconciliation) statefulSetStatus(ctx context.Context, component string) (workloadStatus, error) {
	var s appsv1.StatefulSet
	found, err := r.getWorkload(ctx, "StatefulSet", component, &s)
	if err != nil || !found {
		return workloadStatus{desired: 1}, err
	}
	return workloadStatus{
		found: true, ready: s.Status.ReadyReplicas, desired: *s.Spec.Replicas, image: mainImage(s.Spec.Template.Spec),
	}, nil
}

// getWorkload reads an unstructured object from the cache and converts it to its type. It
// reports whether the object exists.
func (r *reconciliation) getWorkload(ctx context.Context, kind, component string, into any) (bool, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: objectName(r.stack, component)}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", kind, objectName(r.stack, component), err)
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

func mainImage(pod corev1.PodSpec) string {
	if len(pod.Containers) == 0 {
		return ""
	}
	return pod.Containers[0].Image
}
