package main

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

const (
	stockImage = "localhost/ecommerce-stack/stock:2"
	mysqlImage = "mysql:8.4"
)

// pod returns a pod of a component whose container waits for a reason, or runs without one.
func pod(component, image, reason, message string) *corev1.Pod {
	status := corev1.ContainerStatus{Name: component, Image: image}
	ready := corev1.ConditionTrue
	if reason != "" {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: reason, Message: message}
		ready = corev1.ConditionFalse
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo-" + component, UID: types.UID(component), Labels: map[string]string{nameLabel: component}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: component, Image: image}}},
		Status: corev1.PodStatus{
			ContainerStatuses: []corev1.ContainerStatus{status},
			Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Unix(1000, 0)}},
		},
	}
}

// crashing returns a pod whose last container was started at a time.
func crashing(component, image string, started int64) *corev1.Pod {
	p := pod(component, image, "CrashLoopBackOff", "back-off 10s")
	p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{
		ExitCode: 2, Reason: "Error", StartedAt: metav1.Unix(started, 0),
	}
	return p
}

func event(component, reason, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: component + "." + reason},
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", UID: types.UID(component)}, Reason: reason, Message: message,
	}
}

// wait awaits the objects' pods for stockImage. It ends after a number of polls.
func await(t *testing.T, polls int, timeout time.Duration, objects ...runtime.Object) error {
	t.Helper()
	i := &installer{core: fake.NewClientset(objects...)}
	return i.await(t.Context(), waiting{
		namespace: "shop", images: map[string]string{"stock": stockImage}, timeout: timeout, interval: time.Millisecond, detail: func(string) {},
		done: func(context.Context, []corev1.Pod) (bool, string, error) {
			polls--
			return polls < 0, "stock 0 of 1", nil
		},
	})
}

func TestFailedPullIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pod   *corev1.Pod
		wants []string
	}{
		{pod("mysql", mysqlImage, "ErrImagePull", "dial tcp: no such host"), []string{"mysql:8.4", "ErrImagePull", "no such host", "check the name and the network"}},
		{pod("mysql", mysqlImage, "ImagePullBackOff", "Back-off pulling image"), []string{"mysql:8.4", "Back-off pulling image"}},
		{pod("stock", stockImage, "ErrImageNeverPull", "not present"), []string{stockImage, "not present", "make reload"}},
	} {
		err := await(t, 1, time.Hour, c.pod)
		for _, want := range c.wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want an error with %q", err, want)
			}
		}
	}
	ending := pod("stock", stockImage, "ErrImagePull", "")
	ending.DeletionTimestamp, ending.Finalizers = &metav1.Time{Time: time.Unix(1, 0)}, []string{"test/keep"}
	for name, p := range map[string]*corev1.Pod{
		"a pod of another image":            pod("stock", "localhost/ecommerce-stack/stock:1", "ErrImagePull", ""),
		"a service that is not rolled out":  pod("sales", "localhost/ecommerce-stack/sales:2", "ErrImagePull", ""),
		"a pod that is being deleted":       ending,
		"a container that is being created": pod("stock", stockImage, "ContainerCreating", ""),
	} {
		if err := await(t, 1, time.Hour, p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCrashOfANewPodFails(t *testing.T) {
	t.Parallel()
	servers := pod("mysql", mysqlImage, "", "") // ready since 1000
	err := await(t, 1, time.Hour, servers, crashing("stock", stockImage, 1001))
	for _, want := range []string{"container stock of pod demo-stock", "exit code 2", "fake logs", "continue to serve"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	for name, objects := range map[string][]runtime.Object{
		"it started before the server was ready": {servers, crashing("stock", stockImage, 999)},
		"the server is not ready":                {pod("mysql", mysqlImage, "ContainerCreating", ""), crashing("stock", stockImage, 1001)},
		"a server crashes":                       {crashing("rabbitmq", "rabbitmq:4.1-management", 1001)},
		"a former version crashes":               {servers, crashing("stock", "localhost/ecommerce-stack/stock:1", 1001)},
	} {
		if err := await(t, 1, time.Hour, objects...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPullsDoNotCount pulls an image for longer than the timeout.
func TestPullsDoNotCount(t *testing.T) {
	t.Parallel()
	const timeout = 20 * time.Millisecond
	creating := pod("mysql", mysqlImage, "ContainerCreating", "")
	pulling := event("mysql", "Pulling", `Pulling image "mysql:8.4"`)
	if err := await(t, 100, timeout, creating, pulling); err != nil {
		t.Errorf("during a pull: %v", err)
	}
	for name, objects := range map[string][]runtime.Object{
		"after the pull": {creating, pulling, event("mysql", "Pulled", `Successfully pulled image "mysql:8.4" in 3s`)},
		"without a pull": {creating},
		"another pod":    {creating, event("rabbitmq", "Pulling", `Pulling image "mysql:8.4"`)},
	} {
		err := await(t, 1_000_000, timeout, objects...)
		if err == nil || !strings.Contains(err.Error(), "not within 20ms: stock 0 of 1") {
			t.Errorf("%s: %v, want an error with what is missing", name, err)
		}
	}
}

func TestUnavailableAPIServerIsTriedAgain(t *testing.T) {
	t.Parallel()
	core, failures := fake.NewClientset(), 3
	core.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		failures--
		return failures >= 0, nil, context.DeadlineExceeded
	})
	err := (&installer{core: core}).await(t.Context(), waiting{timeout: time.Hour, interval: time.Millisecond, detail: func(string) {},
		done: func(context.Context, []corev1.Pod) (bool, string, error) { return true, "", nil }})
	if err != nil || failures >= 0 {
		t.Errorf("%v with %d failures left", err, failures)
	}
}

func TestLastLineIsThePanic(t *testing.T) {
	t.Parallel()
	for log, want := range map[string]string{
		"one\ntwo\n\n": "two", "": "",
		"started\npanic: no key\n\ngoroutine 1 [running]:\nmain.main()\n": "panic: no key",
	} {
		if got := lastLine(log); got != want {
			t.Errorf("%q: %q, want %q", log, got, want)
		}
	}
}
