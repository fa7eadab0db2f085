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
	reasonAsSpecified    = "AsSpecified"
	reasonWaiting        = "Waiting"
	reasonFailed         = "Failed"
	reasonNeedsAttention = "NeedsAttention"
	reasonPaused         = "Paused"
	reasonDeleting       = "Deleting"
)

// maxMessageBytes limits the message of a condition or Event. The API server accepts 1024
// bytes in an Event.
const maxMessageBytes = 1000

// invalidInputError is returned for invalid user input that the CRD schema cannot detect.
// Only a person can correct it.
type invalidInputError struct{ message string }

func (e *invalidInputError) Error() string { return e.message }

// isTerminal reports whether an error persists until a person acts, so that retrying does
// not help.
func isTerminal(err error) bool {
	var conflict *ownership.ConflictError
	var mismatch *rabbitmq.MismatchError
	var foreign *apply.NotOwnedError
	var input *invalidInputError
	return errors.As(err, &conflict) || errors.As(err, &mismatch) || errors.As(err, &foreign) || errors.As(err, &input)
}

// setPhaseCondition sets the condition of a phase from its result or error.
func (r *reconciliation) setPhaseCondition(condition string, result phaseResult, err error) {
	switch {
	case err != nil && isTerminal(err):
		r.setCondition(condition, metav1.ConditionFalse, reasonNeedsAttention, err.Error())
	case err != nil:
		r.setCondition(condition, metav1.ConditionFalse, reasonFailed, err.Error())
	case result.waiting:
		r.setCondition(condition, metav1.ConditionFalse, reasonWaiting, result.message)
	default:
		r.setCondition(condition, metav1.ConditionTrue, reasonAsSpecified, result.message)
	}
}

// summarize sets Ready, Reconciling, Stalled and the phase sentence from the conditions and
// errors of the phases.
func (r *reconciliation) summarize(errs []error) {
	stalled := false
	for _, err := range errs {
		stalled = stalled || isTerminal(err)
	}
	r.stack.Status.ObservedGeneration = r.stack.Generation
	first := r.firstNotReady()
	switch {
	case first == nil && len(errs) == 0:
		r.markReady()
	case stalled:
		message := errors.Join(errs...).Error()
		r.markNotReady(metav1.ConditionFalse, metav1.ConditionTrue, reasonNeedsAttention, message, "Stalled: "+message)
	case len(errs) > 0:
		message := errors.Join(errs...).Error()
		r.markNotReady(metav1.ConditionTrue, metav1.ConditionFalse, reasonFailed, message, "Retrying: "+message)
	default:
		r.markNotReady(metav1.ConditionTrue, metav1.ConditionFalse, first.Reason, first.Message, first.Message)
	}
}

func (r *reconciliation) markReady() {
	pods := int32(0)
	for _, component := range r.stack.Status.Components {
		pods += component.Ready
	}
	message := fmt.Sprintf("%d components with %d ready pods", len(r.stack.Status.Components), pods)
	if !r.isTrue(v1alpha1.ConditionReady) {
		r.recordEvent(normal, "Ready", "Reconcile", message)
	}
	r.setCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonAsSpecified, message)
	r.setCondition(v1alpha1.ConditionReconciling, metav1.ConditionFalse, reasonAsSpecified, message)
	r.setCondition(v1alpha1.ConditionStalled, metav1.ConditionFalse, reasonAsSpecified, message)
	r.stack.Status.Phase = "Ready: " + message
}

// markNotReady sets the conditions of a stack that is not ready. It records an Event when
// the stack becomes stalled.
func (r *reconciliation) markNotReady(reconciling, stalled metav1.ConditionStatus, reason, message, phase string) {
	if stalled == metav1.ConditionTrue && !r.isTrue(v1alpha1.ConditionStalled) {
		r.recordEvent(warning, "Stalled", "Reconcile", message)
	}
	r.setCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	r.setCondition(v1alpha1.ConditionReconciling, reconciling, reason, message)
	r.setCondition(v1alpha1.ConditionStalled, stalled, reason, message)
	r.stack.Status.Phase = truncate(phase)
}

// markPaused sets Reconciling and the phase sentence. The conditions of the phases do not
// change.
func (r *reconciliation) markPaused(message string) {
	r.stack.Status.ObservedGeneration = r.stack.Generation
	r.setCondition(v1alpha1.ConditionReconciling, metav1.ConditionFalse, reasonPaused, message)
	r.stack.Status.Phase = "Paused: " + message
}

// markDeleting sets the conditions and the phase sentence of a stack that is being deleted.
func (r *reconciliation) markDeleting(message string, failed bool) {
	phase := "Deleting: " + message
	if failed {
		r.markNotReady(metav1.ConditionTrue, metav1.ConditionFalse, reasonFailed, message, phase)
		return
	}
	r.markNotReady(metav1.ConditionTrue, metav1.ConditionFalse, reasonDeleting, message, phase)
}

// firstNotReady returns the condition of the first phase that is not True, or nil.
func (r *reconciliation) firstNotReady() *metav1.Condition {
	for _, phase := range phases {
		condition := meta.FindStatusCondition(r.stack.Status.Conditions, phase.condition)
		if condition == nil || condition.Status != metav1.ConditionTrue {
			return condition
		}
	}
	return nil
}

func (r *reconciliation) isTrue(condition string) bool {
	return meta.IsStatusConditionTrue(r.stack.Status.Conditions, condition)
}

func (r *reconciliation) setCondition(condition string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&r.stack.Status.Conditions, metav1.Condition{
		Type: condition, Status: status, Reason: reason, Message: truncate(message),
		ObservedGeneration: r.stack.Generation,
	})
}

// truncate puts a message on one line and limits its length.
func truncate(message string) string {
	message = strings.Join(strings.Fields(message), " ")
	if len(message) <= maxMessageBytes {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessageBytes], "") + " …"
}

// patchStatus patches the status if it changed. It ignores that the stack is already
// deleted.
func (r *reconciliation) patchStatus(ctx context.Context) error {
	if equality.Semantic.DeepEqual(r.original.Status, r.stack.Status) {
		return nil
	}
	err := r.client.Status().Patch(ctx, r.stack, client.MergeFrom(r.original))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patch the status: %w", err)
	}
	return nil
}
