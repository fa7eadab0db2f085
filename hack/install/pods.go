package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// pollInterval is the time between two observations of pods.
const pollInterval = 200 * time.Millisecond

// nameLabel is the label of a pod with its component.
const nameLabel = "app.kubernetes.io/name"

// servers are the components whose pods may restart while they start for the first time.
var servers = []string{"mysql", "rabbitmq"}

// waiting describes what await waits for.
type waiting struct {
	namespace, selector string            // of the pods
	images              map[string]string // that are rolled out, by component
	timeout, interval   time.Duration
	detail              func(string)
	// done reports whether the wait is over, and what is missing otherwise.
	done func(ctx context.Context, pods []corev1.Pod) (ok bool, missing string, err error)
}

// await waits until w.done, and fails at once if an image cannot be pulled or a new pod crashes.
// The time in which nodes pull images does not count against the timeout, because it depends on
// the network; the kubelet ends a pull without progress with an error.
func (i *installer) await(ctx context.Context, w waiting) error {
	counted, last := time.Duration(0), time.Now()
	for {
		list, err := i.core.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{LabelSelector: w.selector})
		if err != nil {
			list, err = &corev1.PodList{}, fmt.Errorf("list the pods: %w", err) // the API server may restart
		}
		pods := list.Items
		var missing string
		if err == nil {
			var ok bool
			if ok, missing, err = w.done(ctx, pods); ok || err != nil {
				return err
			}
			if err := i.failure(ctx, pods, w.images); err != nil {
				return err
			}
		} else {
			missing = err.Error()
		}
		pulls, err := i.pulls(ctx, w.namespace, pods)
		if err != nil {
			missing = err.Error()
		}
		now := time.Now()
		if len(pulls) == 0 {
			counted += now.Sub(last)
		} else {
			missing = "pulling " + strings.Join(pulls, ", ")
		}
		last = now
		w.detail(missing)
		if counted > w.timeout {
			return fmt.Errorf("not within %s: %s; see `kubectl -n %s get pods,events`", w.timeout, missing, w.namespace)
		}
		select {
		case <-ctx.Done():
			return errors.Join(errors.New(missing), ctx.Err())
		case <-time.After(w.interval):
		}
	}
}

// failure returns the reason why a pod cannot start, or nil. It looks at the pods of the images
// that are rolled out and of the servers; others may be those of an earlier attempt.
func (i *installer) failure(ctx context.Context, pods []corev1.Pod, images map[string]string) error {
	ready := readySince(pods)
	for _, pod := range pods {
		component := pod.Labels[nameLabel]
		image, rolled := images[component]
		isServer := slices.Contains(servers, component)
		if pod.DeletionTimestamp != nil || !isServer && (!rolled || !runs(pod, image)) {
			continue
		}
		for _, container := range containers(pod) {
			if container.State.Waiting == nil {
				continue
			}
			if err := pullFailure(pod, container); err != nil {
				return err
			}
			if !isServer && crashed(container, ready) {
				return i.crash(ctx, pod, container)
			}
		}
	}
	return nil
}

func containers(pod corev1.Pod) []corev1.ContainerStatus {
	return append(slices.Clone(pod.Status.InitContainerStatuses), pod.Status.ContainerStatuses...)
}

func runs(pod corev1.Pod, image string) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Image == image })
}

// pullFailures are the reasons of the kubelet for which an image is not there.
var pullFailures = []string{"ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError"}

func pullFailure(pod corev1.Pod, container corev1.ContainerStatus) error {
	waiting := container.State.Waiting
	if !slices.Contains(pullFailures, waiting.Reason) {
		return nil
	}
	fix := "check the name and the network, or load the image into the cluster; the kubelet repeats the pull, so that `make reload` goes on when it works"
	if strings.HasPrefix(container.Image, "localhost/") {
		fix = "run `make reload`, which loads the image into the cluster"
	}
	return fmt.Errorf("pod %s cannot pull the image %s (%s): %s\n%s", pod.Name, container.Image, waiting.Reason, strings.TrimSpace(waiting.Message), fix)
}

// crashed reports whether a container ended repeatedly, although it was started after the servers
// that it needs were ready.
func crashed(container corev1.ContainerStatus, ready time.Time) bool {
	ended := container.LastTerminationState.Terminated
	return container.State.Waiting.Reason == "CrashLoopBackOff" && ended != nil && !ready.IsZero() && ended.StartedAt.After(ready)
}

// readySince returns the time since when the pods of all servers are ready. It is zero while one
// is not, and the start of the epoch if there are none.
func readySince(pods []corev1.Pod) time.Time {
	since := time.Unix(0, 0)
	for _, pod := range pods {
		if !slices.Contains(servers, pod.Labels[nameLabel]) {
			continue
		}
		index := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })
		if index < 0 || pod.Status.Conditions[index].Status != corev1.ConditionTrue {
			return time.Time{}
		}
		if at := pod.Status.Conditions[index].LastTransitionTime.Time; at.After(since) {
			since = at
		}
	}
	return since
}

// crash returns an error with the exit code and the last log line of a container.
func (i *installer) crash(ctx context.Context, pod corev1.Pod, container corev1.ContainerStatus) error {
	ended := container.LastTerminationState.Terminated
	lines := int64(50)
	log, err := i.core.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{Container: container.Name, Previous: true, TailLines: &lines}).DoRaw(ctx)
	last := lastLine(string(log))
	if err != nil {
		last = "read its log: " + err.Error()
	}
	return fmt.Errorf("the container %s of pod %s ends with exit code %d (%s): %s\nPods of the former version continue to serve. See `kubectl -n %s logs %s -c %[1]s --previous`",
		container.Name, pod.Name, ended.ExitCode, ended.Reason, last, pod.Namespace, pod.Name)
}

// lastLine returns the last line of a log, or the message of the panic that ends it.
func lastLine(log string) string {
	last := ""
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "panic: ") || strings.HasPrefix(line, "fatal error: ") {
			return line
		}
		if line != "" {
			last = line
		}
	}
	return last
}

// pulls returns the images that nodes pull for the pods.
func (i *installer) pulls(ctx context.Context, namespace string, pods []corev1.Pod) ([]string, error) {
	creating := slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return slices.ContainsFunc(containers(pod), isCreated) })
	if !creating {
		return nil, nil
	}
	events, err := i.core.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Pod"})
	if err != nil {
		return nil, fmt.Errorf("list the events: %w", err)
	}
	var images []string
	for _, pod := range pods {
		for _, container := range containers(pod) {
			if isCreated(container) && isPulled(pod, container.Image, events.Items) && !slices.Contains(images, container.Image) {
				images = append(images, container.Image)
			}
		}
	}
	return images, nil
}

// isCreated reports whether the kubelet prepares a container, and perhaps pulls its image.
func isCreated(container corev1.ContainerStatus) bool {
	waiting := container.State.Waiting
	return waiting != nil && (waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing")
}

// isPulled reports whether a pull of a pod's image began and has not ended.
func isPulled(pod corev1.Pod, image string, events []corev1.Event) bool {
	began, ended := false, false
	for _, event := range events {
		if event.InvolvedObject.UID != pod.UID || !strings.Contains(event.Message, `"`+image+`"`) {
			continue
		}
		began, ended = began || event.Reason == "Pulling", ended || event.Reason == "Pulled"
	}
	return began && !ended
}
