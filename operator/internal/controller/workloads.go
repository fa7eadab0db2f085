package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	// A service that cannot be applied does not keep the others from being corrected.
	var errs []error
	for _, service := range backends {
		errs = append(errs, r.applyChart(ctx, service, serviceValues(r.stack, r.options, service, checksums[service])))
	}
	problem, err := r.applyGateway(ctx, checksums[charts.Gateway])
	if err = errors.Join(append(errs, err)...); err != nil || problem != "" {
		return phaseResult{waiting: true, message: problem}, err
	}
	r.stack.Status.Inventory = r.inventory
	var pending []workloadStatus
	for _, service := range services {
		state, err := r.workload(ctx, service)
		if err != nil {
			return phaseResult{}, err
		}
		if !state.rolledOut {
			pending = append(pending, state)
		}
	}
	if len(pending) > 0 {
		return notReady("", pending...)
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
		authorities, unread := r.authoritiesOf(service)
		parts, missing = append(parts, authorities...), append(missing, unread...)
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
	if set.ReadOnly {
		r.unapplied = append(r.unapplied, changes...)
	} else {
		r.recordAppliedChanges(ctx, changes)
	}
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
		ReadOnly:  r.stack.Spec.Paused,
		Namespace: r.stack.Namespace, Instance: r.stack.Name, Component: name, Adopt: r.adopts(),
		Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: r.stack.Name, UID: r.stack.UID,
			Controller: &yes, BlockOwnerDeletion: &yes,
		},
	}
}

// workloadStatus is the observed state of a Deployment or StatefulSet.
type workloadStatus struct {
	component      string
	found          bool
	ready, desired int32
	// rolledOut reports whether all pods have the applied revision and are available.
	rolledOut bool
	// failure is why the rollout does not proceed, if that is known.
	failure *failure
	// image is the image of the main container in the applied revision.
	image string
}

// String returns how many pods are ready, and why the others are not.
func (w workloadStatus) String() string {
	text := fmt.Sprintf("%d of %d pods are ready", w.ready, w.desired)
	switch {
	case w.failure != nil:
		text += ": " + w.failure.message
	case w.ready >= w.desired && !w.rolledOut:
		text += ", the rollout is in progress"
	}
	return text
}

// notReady returns the result of a phase that waits for the rollout of the workloads.
func notReady(subject string, pending ...workloadStatus) (phaseResult, error) {
	result := phaseResult{waiting: true}
	var parts []string
	for _, state := range pending {
		part := state.String()
		if subject == "" {
			part = state.component + " " + part
		}
		parts = append(parts, part)
		if state.failure != nil {
			result.failures = append(result.failures, *state.failure)
		}
	}
	result.message = cmp.Or(subject, "The services are") + " starting: " + strings.Join(parts, "; ")
	return result, nil
}

// workload returns the state of a component's Deployment or StatefulSet. The object is at
// least as new as the last one that the operator applied, and kstatus compares its
// generation and revision with those that its controller has observed.
func (r *reconciliation) workload(ctx context.Context, component string) (workloadStatus, error) {
	if known, found := r.workloads[component]; found {
		return known, nil
	}
	kind := "Deployment"
	if component == charts.MySQL || component == charts.RabbitMQ {
		kind = "StatefulSet"
	}
	state := workloadStatus{component: component, desired: 1}
	name := objectName(r.stack, component)
	object, err := r.applier.Get(ctx, appsv1.SchemeGroupVersion.WithKind(kind), client.ObjectKey{Namespace: r.stack.Namespace, Name: name})
	if apierrors.IsNotFound(err) {
		return state, nil
	}
	if err != nil {
		return state, fmt.Errorf("read %s %s: %w", kind, name, err)
	}
	// Both kinds have these fields, and a StatefulSet no condition.
	var live appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &live); err != nil {
		return state, fmt.Errorf("decode %s %s: %w", kind, name, err)
	}
	rollout, err := status.Compute(object)
	if err != nil {
		return state, fmt.Errorf("compute the state of %s %s: %w", kind, name, err)
	}
	state.found, state.ready, state.desired = true, live.Status.ReadyReplicas, *live.Spec.Replicas
	state.image = mainImage(live.Spec.Template.Spec)
	state.rolledOut = rollout.Status == status.CurrentStatus
	if !state.rolledOut {
		if state.failure, err = r.rolloutFailure(ctx, component, kind, &live); err != nil {
			return state, err
		}
	}
	r.workloads[component] = state
	return state, nil
}

func mainImage(pod corev1.PodSpec) string {
	if len(pod.Containers) == 0 {
		return ""
	}
	return pod.Containers[0].Image
}
