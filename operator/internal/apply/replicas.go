package apply

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// replicasManager is the field manager to which the number of pods passes that the operator
// no longer sets.
const replicasManager = Manager + "-replicas"

// keepReplicas prevents that an apply without the number of pods resets it to 1, when an
// autoscaler is about to set it: the API server removes a field that no manager has any more
// (https://github.com/kubernetes/kubernetes/issues/67135). So another field manager
// takes the present number first. It fails with a conflict if the autoscaler has already
// changed the number, after which nothing has to be kept.
func (a *Applier) keepReplicas(ctx context.Context, id objectID, desired *unstructured.Unstructured) error {
	if id.kind.Kind != "Deployment" {
		return nil
	}
	if _, found, err := unstructured.NestedFieldNoCopy(desired.Object, "spec", "replicas"); found || err != nil {
		return err
	}
	// The cache holds no managed fields.
	live := newObject(id.kind)
	if err := a.apiReader.Get(ctx, id.key, live); err != nil {
		return client.IgnoreNotFound(err)
	}
	owned, err := ownsReplicas(live)
	if err != nil || !owned {
		return err
	}
	replicas, found, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || !found {
		return err
	}
	kept := newObject(id.kind)
	kept.SetNamespace(id.key.Namespace)
	kept.SetName(id.key.Name)
	if err := unstructured.SetNestedField(kept.Object, replicas, "spec", "replicas"); err != nil {
		return err
	}
	if err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(kept), client.FieldOwner(replicasManager)); err != nil {
		return fmt.Errorf("keep %d replicas: %w", replicas, err)
	}
	return nil
}

// ownsReplicas reports whether the operator was the last to set the number of pods.
func ownsReplicas(live *unstructured.Unstructured) (bool, error) {
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != Manager || entry.Subresource != "" || entry.FieldsV1 == nil {
			continue
		}
		var fields fieldpath.Set
		if err := fields.FromJSON(entry.FieldsV1.GetRawReader()); err != nil {
			return false, fmt.Errorf("decode the managed fields: %w", err)
		}
		if fields.Has(fieldpath.MakePathOrDie("spec", "replicas")) {
			return true, nil
		}
	}
	return false, nil
}
