package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
)

// brokerRestartGrace is how long a queue must have been degraded, and all pods of the broker
// ready, before a pod is restarted. RabbitMQ restores members of nodes that start within this
// time, and it is the least time between two restarts.
const brokerRestartGrace = time.Minute

// strandedQueueHelp says what to do about a queue without a majority on an external broker.
const strandedQueueHelp = "start the nodes of its offline members, and start those again that run: a node that has lost its " +
	"process rabbit_fifo_dlx_sup ends each member that becomes the leader, until the node is started again " +
	"(https://github.com/rabbitmq/rabbitmq-server/issues/16652)"

// describeQueueProblems returns the message of the condition for problems, which are not empty.
func describeQueueProblems(vhost string, problems []rabbitmq.QueueProblem, external bool) string {
	var messages []string
	stranded := false
	for _, problem := range problems {
		messages = append(messages, problem.Message)
		stranded = stranded || len(problem.Offline) > 0
	}
	message := fmt.Sprintf("Virtual host %s: %s", vhost, strings.Join(messages, "; "))
	if external && stranded {
		message += "; " + strandedQueueHelp
	}
	return message
}

// restartStrandedBroker deletes a pod of the embedded broker if a queue has lost its majority
// although all pods are ready. The StatefulSet creates the pod again with its volume, so that
// messages remain.
func (r *reconciliation) restartStrandedBroker(ctx context.Context, problems []rabbitmq.QueueProblem) error {
	pods := &corev1.PodList{}
	if err := r.apiReader.List(ctx, pods, client.InNamespace(r.stack.Namespace), client.MatchingLabels(apply.Labels(r.stack.Name, charts.RabbitMQ))); err != nil {
		return fmt.Errorf("list the pods of %s: %w", charts.RabbitMQ, err)
	}
	pod, problem := podToRestart(r.stack, problems, pods.Items, time.Now())
	if pod == nil {
		return nil
	}
	if err := r.client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete pod %s to start its node again: %w", pod.Name, err)
	}
	r.recordEvent(warning, "BrokerRestarted", "Reconcile",
		fmt.Sprintf("Pod %s is started again with its volume: %s, although all pods are ready", pod.Name, problem))
	return nil
}

// podToRestart returns the pod whose restart brings a member of a queue without a majority
// online, and the problem of that queue, or nil.
//
// RabbitMQ does not restore such a member while its node runs: the process rabbit_fifo_dlx_sup
// ends for good if too many of its children fail within a second, and from then on each member
// of a queue with at-least-once dead-lettering that becomes the leader on that node fails, and
// ends after three failures (https://github.com/rabbitmq/rabbitmq-server/issues/16652).
//
// The pod that has run for the longest time is restarted first, so that every node of a broker
// has its turn.
func podToRestart(stack *v1alpha1.ECommerceStack, problems []rabbitmq.QueueProblem, pods []corev1.Pod, now time.Time) (pod *corev1.Pod, problem string) {
	if stack.Spec.Paused || len(pods) < int(stack.Spec.RabbitMQ.Embedded.Replicas) {
		return nil, ""
	}
	degraded := meta.FindStatusCondition(stack.Status.Conditions, v1alpha1.ConditionBrokerReady)
	if degraded == nil || degraded.Reason != reasonQueuesDegraded || now.Sub(degraded.LastTransitionTime.Time) < brokerRestartGrace {
		return nil, ""
	}
	for i := range pods {
		since, ready := readySince(&pods[i])
		if pods[i].DeletionTimestamp != nil || !ready || now.Sub(since) < brokerRestartGrace {
			return nil, ""
		}
	}
	for _, p := range problems {
		for i := range pods {
			isOffline := slices.ContainsFunc(p.Offline, func(node string) bool { return nodeHost(node) == pods[i].Name })
			if isOffline && (pod == nil || pods[i].CreationTimestamp.Before(&pod.CreationTimestamp)) {
				pod, problem = &pods[i], p.Message
			}
		}
	}
	return pod, problem
}

// nodeHost returns the host name in the short name of a node, such as rabbit@demo-rabbitmq-0.
func nodeHost(node string) string {
	_, host, _ := strings.Cut(node, "@")
	return host
}
