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

// event tells people about the stack. Nothing secret goes into one.
func (r *reconciliation) recordEvent(kind, reason, action, message string) {
	r.recorder.Eventf(r.stack, nil, kind, reason, action, "%s", truncate(message))
}

// changed tells what was changed on an external server. What differed on a stack that
// was as it should be had drifted.
func (r *reconciliation) recordExternalChanges(ctx context.Context, condition, system string, changes []string) {
	if r.isTrue(condition) && r.stack.Status.ObservedGeneration == r.stack.Generation {
		r.recordDrift(ctx, system, changes)
	} else if len(changes) > 0 {
		log.FromContext(ctx).Info("external resources provisioned", "system", system, "changes", changes)
		r.recordEvent(normal, "Provisioned", "Provision"+system, fmt.Sprintf("%s: %s", system, strings.Join(changes, "; ")))
	}
}

// applied tells which objects someone had changed or deleted behind the operator's back.
// What it applies of its own accord shows in the status.
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
	r.recordDrift(ctx, "Kubernetes", drifted)
}

// healed tells what had drifted. Events of one reason and action become a series that
// shows the first alone, so the action says what kind of thing was changed.
func (r *reconciliation) recordDrift(ctx context.Context, system string, changes []string) {
	for _, change := range changes {
		driftCorrections.WithLabelValues(system).Inc()
		log.FromContext(ctx).Info("drift corrected", "system", system, "change", change)
		r.recordEvent(warning, "DriftHealed", eventAction(change), fmt.Sprintf("Corrected drift in %s: %s", system, change))
	}
}

// action of a phrase such as "make queue x": MakeQueue.
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
