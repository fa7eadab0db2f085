package controller

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// maxMessageBytes limits the message of a condition or Event. The API server accepts 1024
// bytes in an Event.
const maxMessageBytes = 1000

// setPhaseCondition sets the condition of a phase from its result or error, and records one
// Event for each cause of a failure.
func (r *reconciliation) setPhaseCondition(condition string, result phaseResult, err error) {
	switch {
	case err != nil:
		reason, terminal := errorReason(err)
		r.setCondition(condition, metav1.ConditionFalse, reason, err.Error())
		key := reason
		if terminal { // Only these have the same text in each attempt.
			key += err.Error()
		}
		r.reportCause(condition, key, reason, err.Error())
	case result.waiting:
		reason := cmp.Or(result.reason, reasonWaiting)
		if result.reason == "" && len(result.failures) > 0 {
			reason = result.failures[0].reason
		}
		before := meta.FindStatusCondition(r.stack.Status.Conditions, condition)
		isNew := before == nil || before.Reason != reason
		r.setCondition(condition, metav1.ConditionFalse, reason, result.message)
		for _, f := range result.failures {
			r.reportCause(condition, f.key(), f.reason, f.component+": "+f.message)
			if f.stalled {
				r.stalled = append(r.stalled, f)
			}
		}
		if result.reason == reasonQueuesDegraded {
			if isNew { // podToRestart needs the time since when queues are degraded.
				meta.FindStatusCondition(r.stack.Status.Conditions, condition).LastTransitionTime = metav1.Now()
			}
			r.reportCause(condition, reasonQueuesDegraded, reasonQueuesDegraded, result.message)
		}
	default:
		r.setCondition(condition, metav1.ConditionTrue, reasonAsSpecified, result.message)
		r.causes.clear(r.stack.UID, condition)
	}
}

// reportCause records an Event for a cause that was not reported since the condition was
// True.
func (r *reconciliation) reportCause(condition, key, reason, message string) {
	if r.causes.add(r.stack.UID, cause{condition, key}) {
		r.recordEvent(warning, reason, "Reconcile", message)
	}
}

// refuse sets the conditions of a stack of which nothing may be changed.
func (r *reconciliation) refuse(err error) {
	reason, _ := errorReason(err)
	for _, phase := range phases {
		r.setCondition(phase.condition, metav1.ConditionFalse, reason, err.Error())
	}
	r.reportCause(v1alpha1.ConditionReady, reason+err.Error(), reason, err.Error())
	r.summarize([]error{err})
}

// summarize sets Ready, Reconciling, Stalled and the phase sentence from the conditions,
// failures and errors of the phases.
func (r *reconciliation) summarize(errs []error) {
	var problems []string
	stalled, reason := len(r.stalled) > 0, ""
	for _, err := range errs {
		errReason, terminal := errorReason(err)
		if terminal || reason == "" {
			reason = errReason
		}
		stalled = stalled || terminal
		problems = append(problems, err.Error())
	}
	for _, f := range r.stalled {
		reason = cmp.Or(reason, f.reason)
		problems = append(problems, f.component+": "+f.message)
	}
	r.stack.Status.ObservedGeneration = r.stack.Generation
	first, message := r.firstNotReady(), strings.Join(problems, "; ")
	switch {
	case first == nil && len(errs) == 0:
		r.markReady()
	case stalled:
		r.markNotReady(metav1.ConditionFalse, metav1.ConditionTrue, reason, message, "Stalled: "+message)
	case len(errs) > 0:
		r.markNotReady(metav1.ConditionTrue, metav1.ConditionFalse, reason, message, "Retrying: "+message)
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
	r.causes.clear(r.stack.UID, v1alpha1.ConditionReady)
	r.setCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonAsSpecified, message)
	r.setCondition(v1alpha1.ConditionReconciling, metav1.ConditionFalse, reasonAsSpecified, message)
	r.setCondition(v1alpha1.ConditionStalled, metav1.ConditionFalse, reasonAsSpecified, message)
	r.stack.Status.Phase = "Ready: " + message
}

// markNotReady sets the conditions of a stack that is not ready.
func (r *reconciliation) markNotReady(reconciling, stalled metav1.ConditionStatus, reason, message, phase string) {
	r.setCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	r.setCondition(v1alpha1.ConditionReconciling, reconciling, reason, message)
	r.setCondition(v1alpha1.ConditionStalled, stalled, reason, message)
	r.stack.Status.Phase = truncate(phase)
}

// markPaused sets the conditions and the phase sentence of a stack that is paused. Ready is
// what was observed.
func (r *reconciliation) markPaused(message string) {
	r.stack.Status.ObservedGeneration = r.stack.Generation
	r.setCondition(v1alpha1.ConditionReconciling, metav1.ConditionFalse, reasonPaused, message)
	r.setCondition(v1alpha1.ConditionStalled, metav1.ConditionFalse, reasonPaused, message)
	if first := r.firstNotReady(); first != nil {
		r.setCondition(v1alpha1.ConditionReady, metav1.ConditionFalse, reasonPaused, first.Message)
		message += ". " + first.Message
	} else {
		r.setCondition(v1alpha1.ConditionReady, metav1.ConditionTrue, reasonPaused, "As specified; "+message)
	}
	r.stack.Status.Phase = truncate("Paused: " + message)
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

// firstNotReady returns the condition of the first phase that is not True, or nil. A phase
// that never ran is not True.
func (r *reconciliation) firstNotReady() *metav1.Condition {
	for _, phase := range phases {
		condition := meta.FindStatusCondition(r.stack.Status.Conditions, phase.condition)
		if condition == nil {
			return &metav1.Condition{Type: phase.condition, Reason: reasonWaiting, Message: phase.condition + " was not observed yet"}
		}
		if condition.Status != metav1.ConditionTrue {
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
