package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/internal/apply"
)

const (
	// unschedulableGrace is how long a pod may wait for a node before the stack is
	// stalled: another pod may end, or a node may be added.
	unschedulableGrace = time.Minute
	// crashLoopRestarts is the number of restarts after which a stack is stalled. The
	// kubelet has then waited for more than two minutes in total.
	crashLoopRestarts = 5
	// failedCreate is the reason of conditions and Events about a pod that could not be
	// created.
	failedCreate = "FailedCreate"
)

// failure is why a workload does not become ready.
type failure struct {
	component string
	// reason is the reason that Kubernetes gives, such as ErrImagePull.
	reason string
	// message names the pod and its message.
	message string
	// stalled reports whether only a person can correct the cause.
	stalled bool
}

// key returns the same value for the reasons between which the kubelet alternates.
func (f failure) key() string {
	reason := f.reason
	if reason == "ImagePullBackOff" {
		reason = "ErrImagePull"
	}
	return f.component + " " + reason
}

// rolloutFailure returns why the pods of a workload do not become ready, or nil if nothing
// indicates a failure. It reads pods from the API server, because a cache of all pods would
// be large and is needed only while a workload is not ready.
func (r *reconciliation) rolloutFailure(ctx context.Context, component, kind string, live *appsv1.Deployment) (*failure, error) {
	pods := &corev1.PodList{}
	if err := r.apiReader.List(ctx, pods, client.InNamespace(r.stack.Namespace),
		client.MatchingLabels(apply.Labels(r.stack.Name, component))); err != nil {
		return nil, fmt.Errorf("list the pods of %s: %w", component, err)
	}
	slices.SortFunc(pods.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	for i := range pods.Items {
		if found := podFailure(&pods.Items[i], time.Now()); found != nil {
			found.component = component
			return found, nil
		}
	}
	for _, condition := range live.Status.Conditions {
		failing := condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue ||
			condition.Type == appsv1.DeploymentProgressing && condition.Status == corev1.ConditionFalse
		if failing {
			return &failure{component, condition.Reason, condition.Reason + ": " + condition.Message, true}, nil
		}
	}
	if kind == "StatefulSet" && len(pods.Items) < int(*live.Spec.Replicas) {
		return r.failedCreation(ctx, component, live)
	}
	return nil, nil
}

// failedCreation returns the failure to create a pod or a volume, if that is the latest
// Event of a StatefulSet, whose status does not report it.
func (r *reconciliation) failedCreation(ctx context.Context, component string, live *appsv1.Deployment) (*failure, error) {
	list := &eventsv1.EventList{}
	if err := r.apiReader.List(ctx, list, client.InNamespace(r.stack.Namespace),
		client.MatchingFields{"regarding.uid": string(live.UID)}); err != nil {
		return nil, fmt.Errorf("list the Events of StatefulSet %s: %w", live.Name, err)
	}
	if len(list.Items) == 0 {
		return nil, nil
	}
	last := slices.MaxFunc(list.Items, func(a, b eventsv1.Event) int { return lastObserved(a).Compare(lastObserved(b)) })
	if last.Reason != failedCreate {
		return nil, nil
	}
	return &failure{component, failedCreate, failedCreate + ": " + last.Note, true}, nil
}

// lastObserved returns when an Event was last observed. Controllers of Kubernetes still set
// the deprecated field.
func lastObserved(e eventsv1.Event) time.Time {
	last := e.EventTime.Time
	if e.Series != nil {
		last = e.Series.LastObservedTime.Time
	}
	if last.Before(e.DeprecatedLastTimestamp.Time) {
		last = e.DeprecatedLastTimestamp.Time
	}
	return last
}

// podFailure returns why a pod is not ready, or nil if it is ready, starting or ending.
func podFailure(pod *corev1.Pod, now time.Time) *failure {
	if pod.DeletionTimestamp != nil {
		return nil
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse && condition.Reason == corev1.PodReasonUnschedulable {
			return newFailure(pod, condition.Reason, condition.Message, now.Sub(condition.LastTransitionTime.Time) > unschedulableGrace)
		}
	}
	for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if found := containerFailure(pod, container); found != nil {
			return found
		}
	}
	if pod.Status.Phase == corev1.PodFailed {
		return newFailure(pod, cmp.Or(pod.Status.Reason, "Failed"), pod.Status.Message, false)
	}
	return nil
}

func newFailure(pod *corev1.Pod, reason, message string, stalled bool) *failure {
	return &failure{reason: reason, stalled: stalled, message: fmt.Sprintf("%s: pod %s: %s", reason, pod.Name, message)}
}

func containerFailure(pod *corev1.Pod, container corev1.ContainerStatus) *failure {
	if waiting := container.State.Waiting; waiting != nil {
		switch waiting.Reason {
		// The kubelet repeats these, but the image or its reference must be corrected.
		// ImagePullBackOff alternates with ErrImagePull.
		case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
			return newFailure(pod, waiting.Reason, fmt.Sprintf("container %s, image %s: %s", container.Name, container.Image, waiting.Message), true)
		}
	}
	ended := cmp.Or(container.State.Terminated, container.LastTerminationState.Terminated)
	if container.Ready || ended == nil || ended.ExitCode == 0 {
		return nil
	}
	message := fmt.Sprintf("container %s ended with exit code %d", container.Name, ended.ExitCode)
	if ended.Reason != "" && ended.Reason != "Error" {
		message += " (" + ended.Reason + ")"
	}
	if line := lastLine(ended.Message); line != "" {
		message += ": " + line
	}
	return newFailure(pod, "CrashLoopBackOff", message, container.RestartCount >= crashLoopRestarts)
}

// lastLine returns the last line of a termination message, which is the end of the log of a
// container with terminationMessagePolicy FallbackToLogsOnError.
func lastLine(message string) string {
	message = strings.TrimSpace(message)
	return message[strings.LastIndexByte(message, '\n')+1:]
}
