package controller

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/ownership"
)

// adopts reports whether the stack may take over what it does not own. It may do so once:
// what others take afterwards is theirs.
func (r *reconciliation) adopts() bool {
	return r.stack.Spec.Adopt && r.stack.Status.AdoptedTime == nil
}

// adoption returns whether the stack takes over schemas and virtual hosts of others. An
// embedded server belongs to the stack with everything on it. Nothing is taken from a stack that
// still exists.
func (r *reconciliation) adoption(ctx context.Context, embedded bool) ownership.Adoption {
	switch {
	case embedded:
		return ownership.Always
	case !r.adopts():
		return ownership.Never
	}
	return func(current *ownership.Marker) (bool, error) {
		if current == nil || current.Released {
			return true, nil
		}
		stack := &v1alpha1.ECommerceStack{}
		err := r.apiReader.Get(ctx, client.ObjectKey{Namespace: current.Namespace, Name: current.Name}, stack)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read ECommerceStack %s, to which it belongs: %w", current.Owner, err)
		}
		return string(stack.UID) != current.UID, nil
	}
}

// recordAdoption records in the status that a stack that adopts became ready, and forgets it
// when spec.adopt is false.
func (r *reconciliation) recordAdoption() {
	switch {
	case !r.stack.Spec.Adopt:
		r.stack.Status.AdoptedTime = nil
	case r.stack.Status.AdoptedTime == nil && r.isTrue(v1alpha1.ConditionReady):
		now := metav1.Now()
		r.stack.Status.AdoptedTime = &now
	}
}
