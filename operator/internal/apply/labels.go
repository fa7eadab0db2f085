// Package apply brings the objects of a stack to the API server: server-side apply under
// one field manager, with owner references, and only where the live object differs;
// what a chart no longer renders is deleted.
package apply

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Labels that tell whose an object is.
const (
	NameLabel      = "app.kubernetes.io/name"
	InstanceLabel  = "app.kubernetes.io/instance"
	ManagedByLabel = "app.kubernetes.io/managed-by"
	PartOfLabel    = "app.kubernetes.io/part-of"
)

// Manager is the value of ManagedByLabel and the field manager.
const Manager = "ecommerce-operator"

// PartOf is the value of PartOfLabel.
const PartOf = "ecommerce-stack"

// hashAnnotation holds a hash of what was applied, so that a field that is no longer
// wanted is noticed although the live object has all that is.
const hashAnnotation = "ecommerce-stack.dev/applied"

// ManagedSelector selects every object of the operator.
var ManagedSelector = labels.SelectorFromSet(labels.Set{ManagedByLabel: Manager})

// Labels of the objects of one component of a stack.
func Labels(instance, component string) map[string]string {
	return map[string]string{
		NameLabel: component, InstanceLabel: instance, ManagedByLabel: Manager, PartOfLabel: PartOf,
	}
}

// Kinds that the charts of a stack may render, and that are pruned.
var Kinds = []schema.GroupVersionKind{
	{Version: "v1", Kind: "ServiceAccount"},
	{Version: "v1", Kind: "ConfigMap"},
	{Version: "v1", Kind: "Service"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy"},
	{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress"},
	{Group: "policy", Version: "v1", Kind: "PodDisruptionBudget"},
	{Group: "autoscaling", Version: "v2", Kind: "HorizontalPodAutoscaler"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
}

// HTTPRoute is a kind of the Gateway API, which a cluster need not have. It is read from
// the API server and not watched, because a cache of a kind that may come and go with its
// definition blocks readers or serves what is gone.
var HTTPRoute = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}
