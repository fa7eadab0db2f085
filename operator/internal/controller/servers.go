package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/internal/apply"
)

// applyEmbeddedServer applies the chart of an embedded server with volumes of the given size,
// and returns the state of its pods.
func (r *reconciliation) applyEmbeddedServer(ctx context.Context, component string, admin *corev1.Secret, size resource.Quantity, typed values) (workloadStatus, error) {
	// The server takes the administrator's password from the Secret when it starts. A Secret
	// that was deleted and created again has another one, so the pods are replaced.
	typed["podAnnotations"] = values{adminAnnotation: string(admin.UID)}
	if err := r.growVolumes(ctx, component, size); err != nil {
		return workloadStatus{}, err
	}
	if err := r.applyChart(ctx, component, typed); err != nil {
		return workloadStatus{}, err
	}
	state, err := r.workload(ctx, component)
	if err == nil && !state.rolledOut {
		err = r.deleteStuckPods(ctx, component)
	}
	return state, err
}

// statefulSet returns the StatefulSet of an embedded server, or nil if it does not exist.
func (r *reconciliation) statefulSet(ctx context.Context, component string) (*appsv1.StatefulSet, error) {
	name := objectName(r.stack, component)
	object, err := r.applier.Get(ctx, appsv1.SchemeGroupVersion.WithKind("StatefulSet"), client.ObjectKey{Namespace: r.stack.Namespace, Name: name})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read StatefulSet %s: %w", name, err)
	}
	set := &appsv1.StatefulSet{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, set); err != nil {
		return nil, fmt.Errorf("decode StatefulSet %s: %w", name, err)
	}
	return set, nil
}

// growVolumes requests a larger size for the volumes of a StatefulSet whose template has a
// smaller one. A new template applies to new volumes only. The API server refuses the request
// unless the StorageClass allows expansion.
func (r *reconciliation) growVolumes(ctx context.Context, component string, size resource.Quantity) error {
	set, err := r.statefulSet(ctx, component)
	if err != nil || set == nil || r.stack.Spec.Paused {
		return err
	}
	for _, template := range set.Spec.VolumeClaimTemplates {
		if template.Spec.Resources.Requests.Storage().Cmp(size) >= 0 {
			return nil
		}
	}
	claims := &corev1.PersistentVolumeClaimList{}
	if err := r.apiReader.List(ctx, claims, client.InNamespace(r.stack.Namespace), client.MatchingLabels(apply.Labels(r.stack.Name, component))); err != nil {
		return fmt.Errorf("list the volumes of %s: %w", component, err)
	}
	for i := range claims.Items {
		claim := &claims.Items[i]
		if !isVolumeOf(claim.Name, set.Name) || claim.Spec.Resources.Requests.Storage().Cmp(size) >= 0 {
			continue
		}
		before := claim.DeepCopy()
		claim.Spec.Resources.Requests[corev1.ResourceStorage] = size
		if err := r.client.Patch(ctx, claim, client.MergeFrom(before)); err != nil {
			return fmt.Errorf("expand PersistentVolumeClaim %s to %s: %w", claim.Name, size.String(), err)
		}
		r.recordEvent(normal, "VolumeExpanded", "Reconcile", fmt.Sprintf("PersistentVolumeClaim %s is expanded to %s", claim.Name, size.String()))
	}
	return nil
}

// isVolumeOf reports whether a PersistentVolumeClaim was created for a StatefulSet.
func isVolumeOf(claim, set string) bool { return strings.HasPrefix(claim, "data-"+set+"-") }

// deleteStuckPods deletes pods of an earlier revision that are not ready. A StatefulSet that
// starts its pods in order waits for each, also for one whose wrong image was corrected
// meanwhile (https://github.com/kubernetes/kubernetes/issues/67250).
func (r *reconciliation) deleteStuckPods(ctx context.Context, component string) error {
	set, err := r.statefulSet(ctx, component)
	if err != nil || set == nil || r.stack.Spec.Paused || set.DeletionTimestamp != nil {
		return err
	}
	if set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement || set.Status.ObservedGeneration != set.Generation || set.Status.UpdateRevision == "" {
		return nil
	}
	pods := &corev1.PodList{}
	if err := r.apiReader.List(ctx, pods, client.InNamespace(r.stack.Namespace), client.MatchingLabels(apply.Labels(r.stack.Name, component))); err != nil {
		return fmt.Errorf("list the pods of %s: %w", component, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		revision := pod.Labels[appsv1.StatefulSetRevisionLabel]
		if pod.DeletionTimestamp != nil || revision == "" || revision == set.Status.UpdateRevision || isReady(pod) {
			continue
		}
		if err := r.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete pod %s, which is not ready and has an earlier revision: %w", pod.Name, err)
		}
		r.recordEvent(normal, "StuckPodDeleted", "Reconcile", fmt.Sprintf("Pod %s was not ready and had an earlier revision", pod.Name))
	}
	return nil
}

func isReady(pod *corev1.Pod) bool {
	_, ready := readySince(pod)
	return ready
}

// readySince returns when a pod became ready, and reports whether it is.
func readySince(pod *corev1.Pod) (since time.Time, ready bool) {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.LastTransitionTime.Time, condition.Status == corev1.ConditionTrue
		}
	}
	return time.Time{}, false
}
