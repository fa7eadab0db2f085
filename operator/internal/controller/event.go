package controller

import (
	"context"
	"fmt"
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
func (r *reconciliation) recordEvent(kind, reason, action, message string) {
	r.recorder.Eventf(r.stack, nil, kind, reason, action, "%s", truncate(message))
}

// recordExternalChanges reports changes made on an external server. They are corrections of
// drift if the stack's condition was True, and provisioning otherwise.
func (r *reconciliation) recordExternalChanges(ctx context.Context, condition, system string, changes []string) {
	if r.isTrue(condition) && r.stack.Status.ObservedGeneration == r.stack.Generation {
		r.recordDrift(ctx, system, changes)
	} else if len(changes) > 0 {
		log.FromContext(ctx).Info("external resources provisioned", "system", system, "changes", changes)
		r.recordEvent(normal, "Provisioned", "Provision"+system, fmt.Sprintf("%s: %s", system, strings.Join(changes, "; ")))
	}
}

// recordAppliedChanges reports objects that were modified or deleted by someone else.
// Changes that follow from the spec are visible in the status.
func (r *reconciliation) recordAppliedChanges(ctx context.Context, changes []apply.Change) {
	var drifted []string
	for _, change := range changes {
		deleted := change.Created && slices.ContainsFunc(r.original.Status.Inventory, func(known v1alpha1.ObjectReference) bool {
			return known.Kind == change.Kind && known.Name == change.Name
		})
		if change.Drift || deleted {
			drifted = append(drifted, change.Description)
		}
	}
	r.recordDrift(ctx, systemKubernetes, drifted)
}

// recordDrift reports corrections of drift. Events with the same reason and action are
// merged into a series that shows only the first message, so the action names the kind of
// change.
func (r *reconciliation) recordDrift(ctx context.Context, system string, changes []string) {
	for _, change := range changes {
		driftCorrections.WithLabelValues(system).Inc()
		log.FromContext(ctx).Info("drift corrected", "system", system, "change", change)
		r.recordEvent(warning, "DriftHealed", eventAction(change), fmt.Sprintf("Corrected drift in %s: %s", system, change))
	}
}

// eventAction returns the action for a change: "create queue x" becomes CreateQueue.
func eventAction(change string) string {
	var name strings.Builder
	for i, word := range strings.Fields(change) {
		if i == 2 {
			break
		}
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}
