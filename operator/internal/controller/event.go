package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

const (
	normal  = corev1.EventTypeNormal
	warning = corev1.EventTypeWarning
)

// recordEvent records an Event about the stack. The message must not contain credentials.
//
// Events with the same reason and action are merged into a series that shows the first
// message, for as long as the stack does not change. So the action contains a hash of the
// message: only equal Events are merged.
func (r *reconciliation) recordEvent(kind, reason, action, message string) {
	message = truncate(message)
	sum := sha256.Sum256([]byte(message))
	r.recorder.Eventf(r.stack, nil, kind, reason, action+"-"+hex.EncodeToString(sum[:4]), "%s", message)
}

// changeKind is a kind of change, of which one Event reports all changes of a
// reconciliation.
type changeKind struct{ eventType, reason, action, text string }

var (
	provisioned = changeKind{normal, "Provisioned", "Provision", "Provisioned"}
	driftHealed = changeKind{warning, "DriftHealed", "HealDrift", "Corrected drift"}
)

// addChanges adds changes in a system to those of the reconciliation.
func (r *reconciliation) addChanges(kind changeKind, system string, changes []string) {
	if len(changes) > 0 {
		r.changes[kind] = append(r.changes[kind], system+": "+strings.Join(changes, ", "))
	}
}

// recordChanges records one Event for each kind of change.
func (r *reconciliation) recordChanges() {
	for _, kind := range []changeKind{provisioned, driftHealed} {
		if changes := r.changes[kind]; len(changes) > 0 {
			r.recordEvent(kind.eventType, kind.reason, kind.action, kind.text+" in "+strings.Join(changes, "; "))
		}
	}
}

// recordExternalChanges reports changes made on an external server. They are corrections of
// drift if the stack's condition was True, and provisioning otherwise.
func (r *reconciliation) recordExternalChanges(ctx context.Context, condition, system string, changes []string) {
	if r.isTrue(condition) && r.stack.Status.ObservedGeneration == r.stack.Generation {
		r.recordDrift(ctx, system, changes)
	} else if len(changes) > 0 {
		log.FromContext(ctx).Info("external resources provisioned", "system", system, "changes", changes)
		r.addChanges(provisioned, system, changes)
	}
}

// recordAppliedChanges reports objects that were modified or deleted by someone else.
// Changes that follow from the spec are visible in the status.
func (r *reconciliation) recordAppliedChanges(ctx context.Context, changes []apply.Change) {
	var drifted []string
	for _, change := range changes {
		deleted := change.Created && !change.Recreated && slices.ContainsFunc(r.original.Status.Inventory, func(known v1alpha1.ObjectReference) bool {
			return known.Kind == change.Kind && known.Name == change.Name
		})
		if change.Drift || deleted {
			drifted = append(drifted, change.Description)
		}
	}
	r.recordDrift(ctx, systemKubernetes, drifted)
}

// recordDrift reports corrections of drift.
func (r *reconciliation) recordDrift(ctx context.Context, system string, changes []string) {
	for _, change := range changes {
		driftCorrections.WithLabelValues(system).Inc()
		log.FromContext(ctx).Info("drift corrected", "system", system, "change", change)
	}
	r.addChanges(driftHealed, system, changes)
}
