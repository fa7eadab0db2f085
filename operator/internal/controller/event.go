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
func (p *pass) event(kind, reason, action, message string) {
	p.recorder.Eventf(p.stack, nil, kind, reason, action, "%s", shorten(message))
}

// changed tells what was changed on an external server. What differed on a stack that
// was as it should be had drifted.
func (p *pass) changed(ctx context.Context, condition, system string, changes []string) {
	if p.isTrue(condition) && p.stack.Status.ObservedGeneration == p.stack.Generation {
		p.healed(ctx, system, changes)
	} else if len(changes) > 0 {
		log.FromContext(ctx).Info("provisioned", "system", system, "changes", changes)
		p.event(normal, "Provisioned", "Provision"+system, fmt.Sprintf("%s: %s", system, strings.Join(changes, "; ")))
	}
}

// applied tells which objects someone had changed or deleted behind the operator's back.
// What it applies of its own accord shows in the status.
func (p *pass) applied(ctx context.Context, changes []apply.Change) {
	var drifted []string
	for _, change := range changes {
		deleted := change.Made && slices.ContainsFunc(p.before.Status.Inventory, func(known v1alpha1.ObjectReference) bool {
			return known.Kind == change.Kind && known.Name == change.Name
		})
		if change.Drift || deleted {
			drifted = append(drifted, change.What)
		}
	}
	p.healed(ctx, "Kubernetes", drifted)
}

// healed tells what had drifted. Events of one reason and action become a series that
// shows the first alone, so the action says what kind of thing was changed.
func (p *pass) healed(ctx context.Context, system string, changes []string) {
	for _, change := range changes {
		drifts.WithLabelValues(system).Inc()
		log.FromContext(ctx).Info("healed", "system", system, "change", change)
		p.event(warning, "DriftHealed", action(change), fmt.Sprintf("%s differed: %s", system, change))
	}
}

// action of a phrase such as "make queue x": MakeQueue.
func action(change string) string {
	var name strings.Builder
	for i, word := range strings.Fields(change) {
		if i == 2 {
			break
		}
		name.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return name.String()
}
