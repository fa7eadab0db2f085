// Package apply implements the application of a stack's objects to the API server. It uses
// server-side apply with one field manager and owner references, writes only objects that
// differ from the desired state, and prunes objects that a chart no longer renders.
package apply

import (
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Labels that identify the owner of an object.
const (
	NameLabel      = "app.kubernetes.io/name"
	InstanceLabel  = "app.kubernetes.io/instance"
	ManagedByLabel = "app.kubernetes.io/managed-by"
	PartOfLabel    = "app.kubernetes.io/part-of"
)

// Manager is the value of ManagedByLabel and the name of the field manager.
const Manager = "ecommerce-operator"

// PartOf is the value of PartOfLabel.
const PartOf = "ecommerce-stack"

// hashAnnotation holds a hash of the applied object. It detects that a field was removed
// from the desired state, which a comparison with the live object does not.
const hashAnnotation = "ecommerce-stack.dev/applied"

// ManagedSelector selects all objects that the operator manages.
var ManagedSelector = labels.SelectorFromSet(labels.Set{ManagedByLabel: Manager})

// Labels returns the labels of the objects of one component of a stack.
func Labels(instance, component string) map[string]string {
	return map[string]string{
		NameLabel: component, InstanceLabel: instance, ManagedByLabel: Manager, PartOfLabel: PartOf,
	}
}

// Kinds are the kinds that the charts of a stack may render. Objects of these kinds are
// cached, watched and pruned.
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

// HTTPRoute is a kind of the Gateway API, which a cluster need not serve. It is read from
// the API server and not watched: a cache for a kind whose CRD is not installed blocks its
// readers, and one for a kind whose CRD was deleted returns stale objects.
var HTTPRoute = schema.GroupVersionKind{Group: "gateway.networking.k8s.io", Version: "v1", Kind: "HTTPRoute"}

// PodMonitor is a kind of the Prometheus Operator, which a cluster need not serve. Like
// HTTPRoute, it is read from the API server and not watched.
var PodMonitor = schema.GroupVersionKind{Group: "monitoring.coreos.com", Version: "v1", Kind: "PodMonitor"}
