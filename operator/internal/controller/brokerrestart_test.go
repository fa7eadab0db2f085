package controller

import (
	"context"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
	"ecommerce-stack.dev/services/event"
)

func TestPodIsRestartedForAStrandedQueueOnly(t *testing.T) {
	t.Parallel()
	now := time.Now()
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(now.Add(-d)) }
	state := func() (*v1alpha1.ECommerceStack, []corev1.Pod, []rabbitmq.QueueProblem) {
		stack := &v1alpha1.ECommerceStack{}
		stack.Spec.RabbitMQ.Embedded = &v1alpha1.EmbeddedRabbitMQ{Replicas: 3}
		stack.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ConditionBrokerReady, Status: metav1.ConditionFalse, Reason: reasonQueuesDegraded, LastTransitionTime: ago(time.Minute),
		}}
		var pods []corev1.Pod
		for i, age := range []time.Duration{2 * time.Hour, 3 * time.Hour, 4 * time.Hour} {
			pods = append(pods, corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("demo-rabbitmq-%d", i), CreationTimestamp: ago(age)},
				Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: ago(time.Minute)}}},
			})
		}
		return stack, pods, []rabbitmq.QueueProblem{
			{Message: "queue a has 2 of 3 members online"},
			{Message: "queue b has no majority", Offline: []string{"rabbit@demo-rabbitmq-0", "rabbit@demo-rabbitmq-1"}},
		}
	}
	for name, c := range map[string]struct {
		change func(*v1alpha1.ECommerceStack, []corev1.Pod, []rabbitmq.QueueProblem)
		want   string
	}{
		"the oldest pod with an offline member": {func(*v1alpha1.ECommerceStack, []corev1.Pod, []rabbitmq.QueueProblem) {}, "demo-rabbitmq-1"},
		"the other pod after a restart": {func(_ *v1alpha1.ECommerceStack, pods []corev1.Pod, _ []rabbitmq.QueueProblem) {
			pods[1].CreationTimestamp = ago(time.Minute)
		}, "demo-rabbitmq-0"},
		"paused": {func(stack *v1alpha1.ECommerceStack, _ []corev1.Pod, _ []rabbitmq.QueueProblem) {
			stack.Spec.Paused = true
		}, ""},
		"no condition yet": {func(stack *v1alpha1.ECommerceStack, _ []corev1.Pod, _ []rabbitmq.QueueProblem) {
			stack.Status.Conditions = nil
		}, ""},
		"not ready for another reason": {func(stack *v1alpha1.ECommerceStack, _ []corev1.Pod, _ []rabbitmq.QueueProblem) {
			stack.Status.Conditions[0].Reason = reasonWaiting
		}, ""},
		"degraded for less than a minute": {func(stack *v1alpha1.ECommerceStack, _ []corev1.Pod, _ []rabbitmq.QueueProblem) {
			stack.Status.Conditions[0].LastTransitionTime = ago(59 * time.Second)
		}, ""},
		"a pod is ready for less than a minute": {func(_ *v1alpha1.ECommerceStack, pods []corev1.Pod, _ []rabbitmq.QueueProblem) {
			pods[2].Status.Conditions[0].LastTransitionTime = ago(59 * time.Second)
		}, ""},
		"a pod is not ready": {func(_ *v1alpha1.ECommerceStack, pods []corev1.Pod, _ []rabbitmq.QueueProblem) {
			pods[2].Status.Conditions[0].Status = corev1.ConditionFalse
		}, ""},
		"a pod ends": {func(_ *v1alpha1.ECommerceStack, pods []corev1.Pod, _ []rabbitmq.QueueProblem) {
			pods[2].DeletionTimestamp = new(ago(0))
		}, ""},
		"a pod is missing": {func(stack *v1alpha1.ECommerceStack, _ []corev1.Pod, _ []rabbitmq.QueueProblem) {
			stack.Spec.RabbitMQ.Embedded.Replicas = 4
		}, ""},
		"every queue has a majority": {func(_ *v1alpha1.ECommerceStack, _ []corev1.Pod, problems []rabbitmq.QueueProblem) {
			problems[1].Offline = nil
		}, ""},
		"the node is not of this broker": {func(_ *v1alpha1.ECommerceStack, _ []corev1.Pod, problems []rabbitmq.QueueProblem) {
			problems[1].Offline = []string{"rabbit@demo-rabbitmq-7"}
		}, ""},
	} {
		stack, pods, problems := state()
		c.change(stack, pods, problems)
		got, problem := podToRestart(stack, problems, pods, now)
		switch {
		case got == nil && c.want != "" || got != nil && got.Name != c.want:
			t.Errorf("%s: pod %+v, want %q", name, got, c.want)
		case got != nil && problem != problems[1].Message:
			t.Errorf("%s: problem %q, want %q", name, problem, problems[1].Message)
		}
	}
}

func TestExternalBrokerIsToBeRestartedByItsOwner(t *testing.T) {
	t.Parallel()
	problems := []rabbitmq.QueueProblem{{Message: "queue a has 2 of 3 members online"}, {Message: "queue b has no majority", Offline: []string{"rabbit@a"}}}
	const list = "Virtual host shop: queue a has 2 of 3 members online; queue b has no majority"
	if got := describeQueueProblems("shop", problems, true); got != list+"; "+strandedQueueHelp {
		t.Errorf("external broker: %q, want the queues and what to do", got)
	}
	if got := describeQueueProblems("shop", problems, false); got != list {
		t.Errorf("embedded broker: %q, want the queues only", got)
	}
	if got := describeQueueProblems("shop", problems[:1], true); got != "Virtual host shop: "+problems[0].Message {
		t.Errorf("external broker with a majority: %q, want the queue only", got)
	}
}

// TestDegradationHasItsOwnTime sets the condition of a broker that was not ready for an hour.
func TestDegradationHasItsOwnTime(t *testing.T) {
	t.Parallel()
	r := &reconciliation{Reconciler: &Reconciler{causes: newCauses(), recorder: events.NewFakeRecorder(10)}, stack: &v1alpha1.ECommerceStack{}}
	hour := metav1.NewTime(time.Now().Add(-time.Hour))
	r.stack.Status.Conditions = []metav1.Condition{{
		Type: v1alpha1.ConditionBrokerReady, Status: metav1.ConditionFalse, Reason: reasonUnreachable, LastTransitionTime: hour,
	}}
	condition := &r.stack.Status.Conditions[0]
	degraded := phaseResult{waiting: true, reason: reasonQueuesDegraded, message: "queue a has no majority"}
	r.setPhaseCondition(v1alpha1.ConditionBrokerReady, degraded, nil)
	if since := time.Since(condition.LastTransitionTime.Time); since > time.Minute {
		t.Errorf("degraded for %s, want it to begin now", since)
	}
	condition.LastTransitionTime = hour
	r.setPhaseCondition(v1alpha1.ConditionBrokerReady, degraded, nil)
	if !condition.LastTransitionTime.Equal(&hour) {
		t.Errorf("degraded since %s, want %s", condition.LastTransitionTime, hour)
	}
}

// TestBrokerWithAStrandedQueueIsRestarted uses a broker of its own, because other queues would
// be stranded, too. The test is its StatefulSet.
func TestBrokerWithAStrandedQueueIsRestarted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	server, err := testenv.StartRabbitMQ(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	f.rabbitmq = server.Info
	if f.broker, err = f.rabbitmq.Management(); err != nil {
		t.Fatal(err)
	}
	management, err := url.Parse(f.countingProxy(t))
	if err != nil {
		t.Fatal(err)
	}
	redirects.redirect("demo-rabbitmq."+f.namespace+".svc:15672", management.Host)
	f.createAdminSecrets(t)
	f.stack.Spec.RabbitMQ = v1alpha1.RabbitMQSpec{Embedded: &v1alpha1.EmbeddedRabbitMQ{Replicas: 1, Storage: v1alpha1.StorageSpec{Size: resource.MustParse("1Gi")}}}
	f.apply(t)
	// The node has the host name localhost.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "localhost", Labels: apply.Labels("demo", charts.RabbitMQ)},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "rabbitmq", Image: "localhost/rabbitmq:none"}}},
	}
	f.create(t, pod)
	t.Cleanup(func() { // The deletion of the stack waits until no pod is left.
		if err := client.IgnoreNotFound(api.Delete(context.Background(), pod)); err != nil {
			t.Error(err)
		}
	})
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(time.Now().Add(-time.Hour))}}
	if err := api.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	f.runServer(t, charts.RabbitMQ)
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	f.publishOrder(t)
	// The statistics then contain the queue, as those of a stack that has run for a while do.
	f.eventually(t, func(context.Context) error {
		queue, err := f.broker.GetQueue(f.namespace+".demo", event.StockQueue)
		if err == nil && queue.Messages != 1 {
			err = fmt.Errorf("%d messages, want 1", queue.Messages)
		}
		return err
	})

	strandQueue(t, server, f.namespace+".demo", event.StockQueue)
	const problem = "queue " + event.StockQueue + " has no majority, 0 of 1 members are online"
	f.waitForCause(t, v1alpha1.ConditionBrokerReady, reasonQueuesDegraded, problem, metav1.ConditionFalse)
	if err := f.waitForReconciles(2); err != nil {
		t.Fatal(err)
	}
	f.get(t, pod.Name, &corev1.Pod{}) // The minute is not over.
	f.eventually(t, func(ctx context.Context) error {
		if err := api.Get(ctx, client.ObjectKeyFromObject(pod), &corev1.Pod{}); apierrors.IsNotFound(err) {
			return nil
		}
		live := f.live(t)
		condition := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionBrokerReady)
		condition.LastTransitionTime = metav1.NewTime(time.Now().Add(-brokerRestartGrace))
		if err := api.Status().Update(ctx, live); err != nil {
			return err
		}
		return fmt.Errorf("the pod is still there, and %s is %+v", condition.Type, condition)
	})
	f.waitForEvent(t, "BrokerRestarted", "Pod localhost is started again with its volume: "+problem)

	server.Kill()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	f.publishOrder(t)
	stock := f.channel(t, charts.Stock)
	for i := range 2 {
		f.eventually(t, func(context.Context) error {
			message, found, err := stock.Get(event.StockQueue, false)
			if err == nil && !found {
				err = fmt.Errorf("no message, want one of before and one of after the restart; got %d", i)
			}
			if err != nil {
				return err
			}
			return message.Ack(false)
		})
	}
}

// publishOrder publishes an order as sales does.
func (f *fixture) publishOrder(t *testing.T) {
	t.Helper()
	sales := f.channel(t, charts.Sales)
	if err := sales.Confirm(false); err != nil {
		t.Fatal(err)
	}
	confirmation, err := sales.PublishWithDeferredConfirmWithContext(t.Context(), event.Exchange, event.SaleCreatedType, true, false,
		amqp091.Publishing{DeliveryMode: amqp091.Persistent, Body: []byte("order")})
	if err != nil {
		t.Fatal(err)
	}
	if accepted, err := confirmation.WaitContext(t.Context()); err != nil || !accepted {
		t.Fatalf("the order was not accepted (%v)", err)
	}
}

// channel returns a channel of a service's account.
func (f *fixture) channel(t *testing.T, service string) *amqp091.Channel {
	t.Helper()
	account := f.rabbitmq
	account.Username, account.Password, account.VHost = f.value(t, service+"-rabbitmq", "username"), f.value(t, service+"-rabbitmq", "password"), f.namespace+".demo"
	connection, err := amqp091.Dial(account.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	ch, err := connection.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

// strandQueue strands a queue in the state of a broker that has lost rabbit_fifo_dlx_sup: each
// start of its member ends when it becomes the leader.
func strandQueue(t *testing.T, server *testenv.RabbitMQServer, vhost, queue string) {
	t.Helper()
	if err := server.Control(t.Context(), "eval", "ok = supervisor:terminate_child(rabbit_sup, rabbit_fifo_dlx_sup), "+
		"catch exit(whereis('"+vhost+"_"+queue+"'), kill)."); err != nil {
		t.Fatal(err)
	}
}
