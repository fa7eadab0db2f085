package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/ownership"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
)

// Reasons of conditions.
const (
	reasonDone     = "AsSpecified"
	reasonWaiting  = "Waiting"
	reasonFailed   = "Failed"
	reasonConflict = "NeedsAttention"
	reasonPaused   = "Paused"
	reasonDeleting = "Deleting"
)

// maxMessage of a condition or Event, in bytes; the API server takes 1024 in an Event.
const maxMessage = 1000

// unusable is a fault in what a person gave the stack; only a person can mend it.
type unusable struct{ message string }

func (u *unusable) Error() string { return u.message }

// terminal says that trying again does not help, because a person must act.
func terminal(err error) bool {
	var conflict *ownership.Conflict
	var mismatch *rabbitmq.Mismatch
	var foreign *apply.Foreign
	var input *unusable
	return errors.As(err, &conflict) || errors.As(err, &mismatch) || errors.As(err, &foreign) || errors.As(err, &input)
}

// report sets the condition of a phase.
func (p *pass) report(condition string, outcome outcome, err error) {
	switch {
	case err != nil && terminal(err):
		p.set(condition, metav1.ConditionFalse, reasonConflict, err.Error())
	case err != nil:
		p.set(condition, metav1.ConditionFalse, reasonFailed, err.Error())
	case outcome.waiting:
		p.set(condition, metav1.ConditionFalse, reasonWaiting, outcome.message)
	default:
		p.set(condition, metav1.ConditionTrue, reasonDone, outcome.message)
	}
}

// summarize sets Ready, Reconciling and Stalled and the phase sentence from the
// conditions of the phases and the errors of the pass.
func (p *pass) summarize(errs []error) {
	stalled := false
	for _, err := range errs {
		stalled = stalled || terminal(err)
	}
	p.stack.Status.ObservedGeneration = p.stack.Generation
	first := p.firstUnready()
	switch {
	case first == nil && len(errs) == 0:
		p.ready()
	case stalled:
		message := errors.Join(errs...).Error()
		p.conclude(metav1.ConditionFalse, metav1.ConditionTrue, reasonConflict, message, "Stalled: "+message)
	case len(errs) > 0:
		message := errors.Join(errs...).Error()
		p.conclude(metav1.ConditionTrue, metav1.ConditionFalse, reasonFailed, message, "Trying again: "+message)
	default:
		p.conclude(metav1.ConditionTrue, metav1.ConditionFalse, first.Reason, first.Message, first.Message)
	}
}

func (p *pass) ready() {
	pods := int32(0)
	for _, component := range p.stack.Status.Components {
		pods += component.Ready
	}
	message := fmt.Sprintf("%d components run in %d pods", len(p.stack.Status.Components), pods)
	if !p.isTrue(v1alpha1.ConditionReady) {
		p.event(normal, "Ready", "Reconcile", message)
	}
	p.set(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonDone, message)
	p.set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, reasonDone, message)
	p.set(v1alpha1.ConditionStalled, metav1.ConditionFalse, reasonDone, message)
	p.stack.Status.Phase = "Ready: " + message
}

// conclude sets the conditions of a stack that is not ready. An Event says so when it
// stalls.
func (p *pass) conclude(reconciling, stalled metav1.ConditionStatus, reason, message, phase string) {
	if stalled == metav1.ConditionTrue && !p.isTrue(v1alpha1.ConditionStalled) {
		p.event(warning, "Stalled", "Reconcile", message)
	}
	p.set(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	p.set(v1alpha1.ConditionReconciling, reconciling, reason, message)
	p.set(v1alpha1.ConditionStalled, stalled, reason, message)
	p.stack.Status.Phase = shorten(phase)
}

// markPaused leaves the conditions of the phases as they were.
func (p *pass) markPaused(message string) {
	p.stack.Status.ObservedGeneration = p.stack.Generation
	p.set(v1alpha1.ConditionReconciling, metav1.ConditionFalse, reasonPaused, message)
	p.stack.Status.Phase = "Paused: " + message
}

// markDeleting says what a deletion waits for.
func (p *pass) markDeleting(message string, stuck bool) {
	phase := "Deleting: " + message
	if stuck {
		p.conclude(metav1.ConditionTrue, metav1.ConditionFalse, reasonFailed, message, phase)
		return
	}
	p.conclude(metav1.ConditionTrue, metav1.ConditionFalse, reasonDeleting, message, phase)
}

func (p *pass) firstUnready() *metav1.Condition {
	for _, phase := range phases {
		condition := meta.FindStatusCondition(p.stack.Status.Conditions, phase.condition)
		if condition == nil || condition.Status != metav1.ConditionTrue {
			return condition
		}
	}
	return nil
}

func (p *pass) isTrue(condition string) bool {
	return meta.IsStatusConditionTrue(p.stack.Status.Conditions, condition)
}

func (p *pass) set(condition string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&p.stack.Status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: shorten(message),
		ObservedGeneration: p.stack.Generation,
	})
}

// shorten keeps the beginning, on one line.
func shorten(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + " …"
}

// patchStatus writes the status if it changed. The stack may be gone by now.
func (p *pass) patchStatus(ctx context.Context) error {
	if equality.Semantic.DeepEqual(p.before.Status, p.stack.Status) {
		return nil
	}
	err := p.client.Status().Patch(ctx, p.stack, client.MergeFrom(p.before))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	return nil
}
