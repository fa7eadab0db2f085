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

// workloads applies the four services once all that they read exists, and waits until
// their pods are ready. What exists is seen from the Secrets alone, so that services are
// healed while a server is down.
func (p *pass) workloads(ctx context.Context) (outcome, error) {
	checksums, missing, err := p.checksums(ctx)
	if err != nil {
		return outcome{}, err
	}
	if len(missing) > 0 {
		return waiting("The services wait for the accounts in Secret %s", strings.Join(missing, ", "))
	}
	for _, service := range backends {
		if err := p.apply(ctx, service, serviceValues(p.stack, p.options, service, checksums[service])); err != nil {
			return outcome{}, err
		}
	}
	if problem, err := p.gateway(ctx, checksums[charts.Gateway]); err != nil || problem != "" {
		return outcome{waiting: true, message: problem}, err
	}
	p.stack.Status.Inventory = p.inventory
	var pending []string
	for _, service := range services {
		state, err := p.deployment(ctx, service)
		if err != nil {
			return outcome{}, err
		}
		if why := state.pending(); why != "" {
			pending = append(pending, service+" "+why)
		}
	}
	if len(pending) > 0 {
		return waiting("The services are starting: %s", strings.Join(pending, ", "))
	}
	return done("%d services are applied and their pods are ready", len(services))
}

// checksums of the Secrets whose change must replace a service's pods, and the Secrets
// that are not there or whose account is not.
func (p *pass) checksums(ctx context.Context) (map[string]string, []string, error) {
	checksums := map[string]string{}
	var missing []string
	for _, service := range services {
		var parts []any
		for _, suffix := range []string{"mysql-owner", "mysql", "rabbitmq"} {
			if suffix != "rabbitmq" && schemas[service] == "" || suffix == "rabbitmq" && !slices.Contains(brokerServices, service) {
				continue
			}
			secret := &corev1.Secret{}
			secretName := name(p.stack, service+"-"+suffix)
			err := p.client.Get(ctx, client.ObjectKey{Namespace: p.stack.Namespace, Name: secretName}, secret)
			if client.IgnoreNotFound(err) != nil {
				return nil, nil, fmt.Errorf("read Secret %s: %w", secretName, err)
			}
			if err != nil || secret.Annotations[provisionedAnnotation] == "" {
				missing = append(missing, secretName)
			}
			parts = append(parts, secret.Data, secret.Annotations[provisionedAnnotation])
		}
		if service == charts.Auth {
			account, err := p.managerAccount(ctx)
			if err != nil {
				return nil, nil, err
			}
			if account == nil {
				missing = append(missing, managerSecret(p.stack))
			}
			parts = append(parts, account)
		}
		var err error
		if checksums[service], err = fingerprint(parts...); err != nil {
			return nil, nil, err
		}
	}
	return checksums, missing, nil
}

// managerAccount is nil when there is none yet.
func (p *pass) managerAccount(ctx context.Context) (map[string][]byte, error) {
	var reader client.Reader = p.client
	if p.stack.Spec.Manager.SecretRef != nil {
		reader = p.live
	}
	secret := &corev1.Secret{}
	err := reader.Get(ctx, client.ObjectKey{Namespace: p.stack.Namespace, Name: managerSecret(p.stack)}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", managerSecret(p.stack), err)
	}
	return secret.Data, nil
}

// apply renders a chart and brings its objects to the API server.
func (p *pass) apply(ctx context.Context, component string, typed values) error {
	values, err := plain(typed)
	if err != nil {
		return err
	}
	objects, err := p.charts.Render(component, p.stack.Name, p.stack.Namespace, values)
	if err != nil {
		return err
	}
	set := p.component(component)
	set.Objects = objects
	changes, err := p.applier.Apply(ctx, set)
	p.applied(ctx, changes)
	for _, object := range objects {
		p.inventory = append(p.inventory, v1alpha1.ObjectReference{
			APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Name: object.GetName(),
		})
	}
	return err
}

// component is the set of a component's objects, without the objects.
func (p *pass) component(name string) apply.Set {
	yes := true
	var optional []schema.GroupVersionKind
	if name == charts.Gateway {
		optional = append(optional, apply.HTTPRoute)
	}
	return apply.Set{
		Optional:  optional,
		Namespace: p.stack.Namespace, Instance: p.stack.Name, Component: name, Adopt: p.stack.Spec.Adopt,
		Owner: metav1.OwnerReference{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: v1alpha1.Kind, Name: p.stack.Name, UID: p.stack.UID,
			Controller: &yes, BlockOwnerDeletion: &yes,
		},
	}
}

// embedded applies a server's chart and counts its pods.
func (p *pass) embedded(ctx context.Context, component string, typed values) (ready, desired int32, err error) {
	if err := p.apply(ctx, component, typed); err != nil {
		return 0, 0, err
	}
	state, err := p.statefulSet(ctx, component)
	return state.ready, state.desired, err
}

// workload is the state of a Deployment or a StatefulSet.
type workload struct {
	found          bool
	ready, desired int32
	// rolling: pods of an older form are still there.
	rolling bool
	// failure is what the Deployment says about pods that do not come.
	failure string
	image   string
}

// pending says what is missing, "" when nothing is.
func (w workload) pending() string {
	switch {
	case w.failure != "":
		return fmt.Sprintf("%d of %d (%s)", w.ready, w.desired, w.failure)
	case !w.found || w.ready < w.desired:
		return fmt.Sprintf("%d of %d", w.ready, w.desired)
	case w.rolling:
		return "replaces its pods"
	}
	return ""
}

func (p *pass) deployment(ctx context.Context, component string) (workload, error) {
	var d appsv1.Deployment
	found, err := p.read(ctx, "Deployment", component, &d)
	if err != nil || !found {
		return workload{desired: 1}, err
	}
	state := workload{
		found: true, ready: d.Status.AvailableReplicas, desired: *d.Spec.Replicas, image: image(d.Spec.Template.Spec),
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

func (p *pass) statefulSet(ctx context.Context, component string) (workload, error) {
	var s appsv1.StatefulSet
	found, err := p.read(ctx, "StatefulSet", component, &s)
	if err != nil || !found {
		return workload{desired: 1}, err
	}
	return workload{
		found: true, ready: s.Status.ReadyReplicas, desired: *s.Spec.Replicas, image: image(s.Spec.Template.Spec),
	}, nil
}

// read gets an object as the cache has it, unstructured, and gives it its type.
func (p *pass) read(ctx context.Context, kind, component string, into any) (bool, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	err := p.client.Get(ctx, client.ObjectKey{Namespace: p.stack.Namespace, Name: name(p.stack, component)}, object)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", kind, name(p.stack, component), err)
	}
	return true, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

func image(pod corev1.PodSpec) string {
	if len(pod.Containers) == 0 {
		return ""
	}
	return pod.Containers[0].Image
}
