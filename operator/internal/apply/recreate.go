package apply

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// immutableFields are the fields of the spec of a StatefulSet that the charts render and the API
// server does not change.
var immutableFields = []string{"serviceName", "podManagementPolicy", "selector", "volumeClaimTemplates"}

// needsRecreation reports whether a StatefulSet differs from the desired one in a field that
// cannot be changed.
func needsRecreation(live, desired *unstructured.Unstructured) bool {
	return desired.GetKind() == "StatefulSet" && slices.ContainsFunc(differences(live.Object, desired.Object), func(d difference) bool {
		return len(d.path) > 1 && d.path[0] == "spec" && slices.Contains(immutableFields, fmt.Sprint(d.path[1]))
	})
}

// recreate deletes a StatefulSet and keeps its pods and volumes, which the StatefulSet that is
// applied when it is gone takes over. Kubernetes' garbage collector first removes their owner
// references.
func (a *Applier) recreate(ctx context.Context, id objectID, live *unstructured.Unstructured) error {
	uid := live.GetUID()
	if err := a.client.Delete(ctx, live, client.PropagationPolicy(metav1.DeletePropagationOrphan), client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete it without its pods, because a field cannot be changed: %w", err)
	}
	a.written.versions.Delete(id)
	a.recreating.Store(id, uid)
	return nil
}

// isRecreating reports whether an object is being deleted by recreate.
func (a *Applier) isRecreating(id objectID, live *unstructured.Unstructured) bool {
	uid, found := a.recreating.Load(id)
	return found && uid == live.GetUID()
}
