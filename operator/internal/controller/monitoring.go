package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// podMonitors is what a reconciliation knows about the kind PodMonitor.
type podMonitors struct {
	served bool
	err    error
	// applied is the number of PodMonitors in the desired state.
	applied int
}

// observePodMonitors determines whether the API server serves PodMonitors. An error does not
// stop the reconciliation, because a store works without them.
func (r *reconciliation) observePodMonitors(ctx context.Context) {
	r.podMonitors.served, r.podMonitors.err = r.applier.Served(ctx, apply.PodMonitor, r.stack.Namespace)
}

func (r *reconciliation) wantsPodMonitors() bool {
	wanted := r.stack.Spec.Observability.PodMonitors
	return wanted == nil || *wanted
}

// podMonitorValues returns the value metrics.podMonitor of a chart. Without a PodMonitor, the
// chart renders scrape annotations.
func (r *reconciliation) podMonitorValues() values {
	return values{"enabled": r.podMonitors.served && r.wantsPodMonitors(), "labels": r.options.MonitoringLabels}
}

// reportPodMonitors sets the condition PodMonitorsApplied, or removes it if the stack wants
// no PodMonitors.
func (r *reconciliation) reportPodMonitors() {
	notApplied := func(reason, message string) {
		r.setCondition(v1alpha1.ConditionPodMonitorsApplied, metav1.ConditionFalse, reason, message)
	}
	switch {
	case !r.wantsPodMonitors():
		meta.RemoveStatusCondition(&r.stack.Status.Conditions, v1alpha1.ConditionPodMonitorsApplied)
	case r.podMonitors.err != nil:
		notApplied(reasonFailed, r.podMonitors.err.Error())
	case !r.podMonitors.served:
		notApplied(reasonNoPrometheusOperator, fmt.Sprintf("The API server does not serve %s of %s: Services have scrape annotations instead. "+
			"PodMonitors are applied at the next resync after their CRD is installed", apply.PodMonitor.Kind, apply.PodMonitor.GroupVersion()))
	case r.podMonitors.applied == 0:
		notApplied(reasonNotApplied, "No component is applied")
	default:
		r.setCondition(v1alpha1.ConditionPodMonitorsApplied, metav1.ConditionTrue, reasonAsSpecified,
			fmt.Sprintf("%d PodMonitors are applied", r.podMonitors.applied))
	}
}

// optionalObjects applies the operator's own PodMonitor and PrometheusRule. A cluster need
// not serve their kinds when the operator's chart is installed, so the chart defines each
// object in a ConfigMap, which becomes its owner, and the operator applies those whose kind
// is served. It implements manager.Runnable, and runs on the leader only.
type optionalObjects struct {
	applier   *apply.Applier
	apiReader client.Reader
	namespace string
	// configMaps are names of ConfigMaps with the key object.yaml.
	configMaps []string
	interval   time.Duration
}

// Start applies the objects until the context is done.
func (o *optionalObjects) Start(ctx context.Context) error {
	wait.JitterUntilWithContext(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, reconcileTimeout)
		defer cancel()
		for _, name := range o.configMaps {
			if err := o.apply(ctx, name); err != nil {
				log.FromContext(ctx).Error(err, "optional object not applied", "configMap", name)
			}
		}
	}, o.interval, 0.1, true)
	return nil
}

func (o *optionalObjects) apply(ctx context.Context, name string) error {
	definition := &corev1.ConfigMap{}
	if err := o.apiReader.Get(ctx, client.ObjectKey{Namespace: o.namespace, Name: name}, definition); err != nil {
		return fmt.Errorf("read ConfigMap %s: %w", name, err)
	}
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(definition.Data["object.yaml"]), &object.Object); err != nil {
		return fmt.Errorf("decode object.yaml of ConfigMap %s: %w", name, err)
	}
	change, err := o.applier.ApplyObject(ctx, apply.Set{
		Namespace: o.namespace,
		Owner:     metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: name, UID: definition.UID},
	}, object)
	if apply.IsNotServed(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	if change != nil {
		log.FromContext(ctx).Info("optional object applied", "kind", change.Kind, "name", change.Name)
	}
	return nil
}
