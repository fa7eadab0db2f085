//go:build nightly

package e2e

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/services/event"
)

const (
	// clustered is the namespace of a stack with three nodes of RabbitMQ.
	clustered = "clustered"
	// maxOrderDelay is the longest time in which an order must be accepted while a node of the
	// broker fails.
	maxOrderDelay = 10 * time.Second
)

// TestOrdersSurviveTheLossOfABrokerNode kills the pod with the leader of a queue under load, and
// then stops the node of the next leader for longer than the other nodes wait for it. No
// acknowledged sale may be lost, and orders must be accepted within 10 seconds all the time.
//
// The clusters of the tests have one Kubernetes node. So SIGSTOP of the Erlang machine stands
// for the failure of its Kubernetes node: as then, its connections remain open without a
// response. It lasts until the other nodes have ended their connections to it, net_ticktime after its
// last message (20 s, plus or minus a quarter), which is also longer than any timeout of Raft.
// Unlike the pod on a failed node, the pod remains ready, because the kernel accepts the
// connections of probes, so that the services connect to the stopped node again and again.
func TestOrdersSurviveTheLossOfABrokerNode(t *testing.T) {
	needsCluster(t)
	newStack(t, clustered, `{"deletionPolicy":"Delete","jwt":{"accessTokenTTL":"1h"},"rabbitmq":{"embedded":{"replicas":3,"storage":{"size":"1Gi"}}}}`)
	s := newShopIn(t, clustered, forwardGateway(t, clustered))
	const quantity = 1_000_000
	product := s.product(t, quantity)
	awaitMembers(t)
	stopOrders := s.placeOrders(t, product)

	killed := leaderPod(t)
	mustKubectl(t, "-n", clustered, "delete", "pod", killed, "--grace-period=1", "--wait=false")
	s.awaitDecision(t, product, "the pod of the leader was killed")
	mustKubectl(t, "-n", clustered, "wait", "--for=delete", "pod/"+killed, "--timeout=2m")
	awaitMembers(t)

	stopped := leaderPod(t)
	resume := stopServer(t, stopped)
	s.awaitDecision(t, product, "the node of the leader stopped")
	other := stack + "-rabbitmq-0"
	if stopped == other {
		other = stack + "-rabbitmq-1"
	}
	eventually(t, 3*time.Minute, func() (bool, any) {
		nodes, err := ctlIn(t, other, "eval", "nodes().")
		return err == nil && !strings.Contains(nodes, stopped), nodes
	})
	s.awaitDecision(t, product, "the other nodes removed the stopped node")
	resume()
	awaitMembers(t)
	mustKubectl(t, "-n", clustered, "wait", "--for=condition=Ready", "estack/"+stack, "--timeout=4m")

	placed := stopOrders()
	t.Logf("%d orders, of which the slowest was accepted after %s", len(placed.sales), placed.slowest.Round(time.Millisecond))
	if len(placed.sales) == 0 {
		t.Error("no order was accepted: the test proves nothing")
	}
	if placed.slowest > maxOrderDelay {
		t.Errorf("an order was accepted after %s, want at most %s; last error: %v", placed.slowest, maxOrderDelay, placed.failure)
	}
	for _, sale := range placed.sales {
		s.awaitStatus(t, sale, "Confirmed")
	}
	removed := int64(len(placed.sales)) + decisions
	s.awaitStock(t, product, client.Stock{Available: quantity - removed, Removed: removed})
}

// decisions is how often the test calls awaitDecision.
const decisions = 3

// awaitDecision places a sale and logs the time until it is confirmed.
func (s shop) awaitDecision(t *testing.T, product int64, after string) {
	t.Helper()
	began := time.Now()
	s.awaitStatus(t, s.place(t, product, 1), "Confirmed")
	t.Logf("after %s, a new sale was confirmed within %s", after, time.Since(began).Round(10*time.Millisecond))
}

// acceptedOrders is the outcome of placeOrders.
type acceptedOrders struct {
	sales   []int64
	slowest time.Duration // from the first attempt until the response
	failure error         // of the last failed attempt
}

// placeOrders places an order after the other, each of which is repeated with its idempotency
// key until it is accepted. The returned function ends that after the last order is accepted, or
// not accepted within a minute.
func (s shop) placeOrders(t *testing.T, product int64) (stop func() acceptedOrders) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var accepted acceptedOrders
	var running sync.WaitGroup
	running.Go(func() {
		every(ctx, 250*time.Millisecond, func() {
			key, began := rand.Text(), time.Now()
			// Not canceled: otherwise an order could be accepted without its acknowledgment.
			call, end := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer end()
			var sale client.Sale
			err := fmt.Errorf("not tried")
			for err != nil && call.Err() == nil {
				if sale, err = s.Place(call, s.customer, false, key, client.Item{ProductID: product, Quantity: 1}); err != nil {
					accepted.failure = err
				}
			}
			accepted.slowest = max(accepted.slowest, time.Since(began))
			if err == nil {
				accepted.sales = append(accepted.sales, sale.ID)
			}
		})
	})
	end := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(end)
	return func() acceptedOrders { end(); return accepted }
}

// forwardGateway returns the URL of a port of this machine that is forwarded to the gateway of a
// stack until the test ends.
func forwardGateway(t *testing.T, in string) string {
	t.Helper()
	forward := exec.CommandContext(t.Context(), "kubectl", "--namespace", in, "port-forward", "service/"+stack+"-gateway", ":5001")
	out, err := forward.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forward.Wait() }) // It ends with the context.
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("port-forward to the gateway: %v", err)
	}
	var port int
	if _, err := fmt.Sscanf(line, "Forwarding from 127.0.0.1:%d -> ", &port); err != nil {
		t.Fatalf("port-forward to the gateway: %q: %v", line, err)
	}
	go func() { _, _ = lines.WriteTo(os.Stderr) }() // It prints a line for each connection.
	return "http://127.0.0.1:" + strconv.Itoa(port)
}

// ctlIn runs rabbitmqctl in a pod of the clustered stack.
func ctlIn(t *testing.T, pod string, arguments ...string) (string, error) {
	t.Helper()
	return kubectl(t, "", append([]string{"-n", clustered, "exec", pod, "-c", "rabbitmq", "--", "rabbitmqctl", "--quiet"}, arguments...)...)
}

// queueState is where the members of a queue are. Online of a queue that is not a quorum queue is a
// string.
type queueState struct {
	Name, Type, Leader string
	Online             any
}

// quorumQueues returns the quorum queues of the clustered stack as a pod sees them.
func quorumQueues(t *testing.T, pod string) ([]queueState, error) {
	t.Helper()
	out, err := ctlIn(t, pod, "list_queues", "--formatter=json", "--vhost="+clustered+"."+stack, "name", "type", "leader", "online")
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	var queues []queueState
	if err := json.Unmarshal([]byte(out), &queues); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	return slices.DeleteFunc(queues, func(q queueState) bool { return q.Type != "quorum" }), nil
}

// awaitMembers waits until each node sees a leader and three online members of each quorum queue.
func awaitMembers(t *testing.T) {
	t.Helper()
	for i := range 3 {
		pod := fmt.Sprintf("%s-rabbitmq-%d", stack, i)
		eventually(t, 5*time.Minute, func() (bool, any) {
			queues, err := quorumQueues(t, pod)
			if err != nil {
				return false, err
			}
			whole := map[string]bool{} // A queue may have several rows after a partition.
			for _, queue := range queues {
				online, _ := queue.Online.([]any)
				if len(online) < 3 || queue.Leader == "" {
					return false, queues
				}
				whole[queue.Name] = true
			}
			return len(whole) == 2*len(event.Queues), queues // Each has a dead-letter queue.
		})
	}
}

// leaderPod returns the pod with the leader of the queue of stock.
func leaderPod(t *testing.T) string {
	t.Helper()
	queues, err := quorumQueues(t, stack+"-rabbitmq-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range queues {
		if queue.Name == event.StockQueue {
			_, pod, _ := strings.Cut(queue.Leader, "@")
			return pod
		}
	}
	t.Fatalf("queue %s is not among %v", event.StockQueue, queues)
	return ""
}

// stopServer stops the Erlang machine of a pod with SIGSTOP. The returned function continues it,
// which the end of the test does, too.
func stopServer(t *testing.T, pod string) (resume func()) {
	t.Helper()
	pid := serverProcess(t, mustKubectl(t, "-n", clustered, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}"))
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(pid, s); err != nil {
			t.Errorf("%s to process %d of pod %s: %v", s, pid, pod, err)
		}
	}
	resume = sync.OnceFunc(func() { signal(syscall.SIGCONT) })
	t.Cleanup(resume)
	signal(syscall.SIGSTOP)
	return resume
}

// serverProcess returns the process ID of the Erlang machine of a pod. The processes of the
// cluster run on this machine, and the mounts of each contain the UID of its pod.
func serverProcess(t *testing.T, uid string) int {
	t.Helper()
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		command, err := os.ReadFile(filepath.Join(folder, "cmdline"))
		if err != nil {
			continue // The process has ended.
		}
		program, _, _ := bytes.Cut(command, []byte{0})
		mounts, err := os.ReadFile(filepath.Join(folder, "mountinfo"))
		if err != nil || filepath.Base(string(program)) != "beam.smp" || !bytes.Contains(mounts, []byte(uid)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("no process of the pod with the UID %s: the containers must run on this machine, and the test as root", uid)
	return 0
}
