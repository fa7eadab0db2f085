package controller

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

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
func (p *pass) changed(condition, what string, changes []string) {
	if len(changes) == 0 {
		return
	}
	if p.isTrue(condition) && p.stack.Status.ObservedGeneration == p.stack.Generation {
		drifts.WithLabelValues(what).Add(float64(len(changes)))
		p.event(warning, "DriftHealed", "Heal", fmt.Sprintf("%s differed: %s", what, strings.Join(changes, "; ")))
		return
	}
	p.event(normal, "Provisioned", "Provision", fmt.Sprintf("%s: %s", what, strings.Join(changes, "; ")))
}

// applied tells which objects someone had changed behind the operator's back. What it
// applies of its own accord shows in the status.
func (p *pass) applied(changes []apply.Change) {
	var healed []string
	for _, change := range changes {
		if change.Drift {
			healed = append(healed, change.What)
		}
	}
	if len(healed) == 0 {
		return
	}
	drifts.WithLabelValues("objects").Add(float64(len(healed)))
	p.event(warning, "DriftHealed", "Heal", "objects differed: "+strings.Join(healed, "; "))
}
