package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlcontroller "sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/chart"
)

// maxConcurrentReconciles is the number of stacks that are reconciled at the same time. A
// reconciliation mostly waits for I/O.
const maxConcurrentReconciles = 4

// NewScheme returns a scheme with the types that the operator reads and writes.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	return scheme, nil
}

// CacheOptions returns options that restrict the cache to stacks and the objects that the
// operator manages, in the given namespaces or, if there are none, in all.
func CacheOptions(namespaces []string) cache.Options {
	options := cache.Options{
		DefaultLabelSelector: apply.ManagedSelector,
		DefaultTransform:     cache.TransformStripManagedFields(),
		ByObject:             map[client.Object]cache.ByObject{&v1alpha1.ECommerceStack{}: {Label: labels.Everything()}},
	}
	if len(namespaces) > 0 {
		options.DefaultNamespaces = map[string]cache.Config{}
		for _, namespace := range namespaces {
			options.DefaultNamespaces[namespace] = cache.Config{}
		}
	}
	return options
}

// ClientOptions returns options that make the client read unstructured objects from the
// cache.
func ClientOptions() client.Options {
	return client.Options{Cache: &client.CacheOptions{Unstructured: true}}
}

// SetupWithManager registers a Reconciler with the manager.
func SetupWithManager(manager ctrl.Manager, options Options) error {
	loaded, err := chart.Load(append([]string{charts.MySQL, charts.RabbitMQ}, services...)...)
	if err != nil {
		return err
	}
	r := &Reconciler{
		client: manager.GetClient(), apiReader: manager.GetAPIReader(),
		recorder: manager.GetEventRecorder("ecommerce-operator"),
		applier:  apply.New(manager.GetClient(), manager.GetAPIReader()),
		charts:   loaded, observations: newObservations(), certificates: newCertificates(), causes: newCauses(),
		endpoints: newEndpoints(options.Resync, options.Dial), options: options,
	}
	if err := metrics.Registry.Register(&stackCollector{reader: r.client, certificates: r.certificates}); err != nil {
		return fmt.Errorf("register the metrics of stacks: %w", err)
	}
	if len(options.OptionalObjects) > 0 {
		if err := manager.Add(&optionalObjects{
			applier: r.applier, apiReader: r.apiReader, namespace: options.Namespace, configMaps: options.OptionalObjects, interval: options.Resync,
		}); err != nil {
			return fmt.Errorf("set up the optional objects: %w", err)
		}
	}
	relevant := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	build := ctrl.NewControllerManagedBy(manager).
		Named("ecommercestack").
		For(&v1alpha1.ECommerceStack{}, builder.WithPredicates(relevant)).
		Watches(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(requestsForSecret)).
		WatchesRawSource(source.Channel(r.endpoints.changed, &handler.EnqueueRequestForObject{})).
		WithOptions(ctrlcontroller.Options{
			MaxConcurrentReconciles: maxConcurrentReconciles,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](
				200*time.Millisecond, 15*time.Second),
		})
	for _, kind := range apply.Kinds {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		build = build.Owns(object)
	}
	if err := build.Complete(r); err != nil {
		return fmt.Errorf("set up the controller: %w", err)
	}
	return nil
}

// requestsForSecret returns a request for the stack that a Secret's labels name. Secrets
// have no owner reference.
func requestsForSecret(_ context.Context, secret client.Object) []reconcile.Request {
	return []reconcile.Request{{NamespacedName: types.NamespacedName{
		Namespace: secret.GetNamespace(), Name: secret.GetLabels()[apply.InstanceLabel],
	}}}
}
