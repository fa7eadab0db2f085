//go:build nightly

package e2e

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// otherNamespace is a namespace without a stack.
const otherNamespace = "policies-other"

// impostors are pods with labels of the store's pods, by name. Those in the namespace of the
// stack are never ready, so that no Service sends them requests.
var impostors = map[string]struct{ namespace, labels string }{
	"unlabeled":      {namespace, "{}"},
	"operator-here":  {namespace, "{app.kubernetes.io/name: operator, app.kubernetes.io/part-of: ecommerce-stack}"},
	"broker-here":    {namespace, "{app.kubernetes.io/name: rabbitmq, app.kubernetes.io/instance: " + stack + "}"},
	"gateway-there":  {otherNamespace, "{app.kubernetes.io/name: gateway, app.kubernetes.io/instance: " + stack + "}"},
	"sales-there":    {otherNamespace, "{app.kubernetes.io/name: sales, app.kubernetes.io/instance: " + stack + "}"},
	"broker-there":   {otherNamespace, "{app.kubernetes.io/name: rabbitmq, app.kubernetes.io/instance: " + stack + "}"},
	"operator-there": {otherNamespace, "{app.kubernetes.io/name: operator, app.kubernetes.io/part-of: ecommerce-stack}"},
}

// unrestricted are the pods that no policy selects.
var unrestricted = []string{"operator", "unlabeled", "operator-here", "gateway-there", "sales-there", "broker-there", "operator-there"}

// flows are the connections that the policies allow: for each destination the pods that may
// connect to it. All other connections must fail.
var flows = map[string][]string{
	"gateway:5001":   unrestricted,
	"gateway:9090":   unrestricted,
	"auth:5004":      {"gateway"},
	"auth:9090":      append([]string{"sales", "stock"}, unrestricted...),
	"sales:5002":     {"gateway"},
	"sales:9090":     unrestricted,
	"stock:5003":     {"gateway"},
	"stock:9090":     append([]string{"sales"}, unrestricted...),
	"mysql:3306":     {"auth", "sales", "stock", "operator"},
	"rabbitmq:5672":  {"gateway", "sales", "stock"},
	"rabbitmq:15672": {"operator"},
	"rabbitmq:15692": unrestricted,
	"rabbitmq:4369":  {"broker-here"},
	"rabbitmq:25672": {"broker-here"},
	"operator:9090":  unrestricted,
	"kubernetes:443": unrestricted,
	"dns":            append([]string{"gateway", "auth", "sales", "stock", "rabbitmq", "broker-here"}, unrestricted...),
}

// undecided are connections between pods that one policy selects. kube-router has one chain for
// both directions of a policy, and so allows the egress that an ingress rule of it allows.
var undecided = map[string]string{"rabbitmq:15692": "broker-here"}

// TestOnlyListedFlowsConnect connects from each pod to each port, without policies and with
// them, and uses the store while they are enforced.
func TestOnlyListedFlowsConnect(t *testing.T) {
	s := newShop(t)
	waitUntilReady(t)
	enforcePolicies(t)
	n := newNetwork(t)

	setPolicies(t, `false`)
	// Also proves that each port is open, and that nothing but the policies closes it.
	all := map[string][]string{}
	for to := range flows {
		all[to] = n.names()
	}
	n.await(t, all)

	setPolicies(t, `null`)
	n.await(t, flows)
	// Pods that start under policies get addresses that the rules do not have yet.
	mustKubectl(t, "-n", namespace, "delete", "pods", "-l", "app.kubernetes.io/instance="+stack+",app.kubernetes.io/name in (gateway,auth,sales,stock)")
	waitUntilReady(t)
	s.ordersReachEveryStatus(t)
}

// setPolicies sets spec.networkPolicies, and waits until the policies exist or not.
func setPolicies(t *testing.T, value string) {
	t.Helper()
	patchStack(t, `{"spec":{"networkPolicies":`+value+`}}`)
	eventually(t, time.Minute, func() (bool, any) {
		names := mustKubectl(t, "-n", namespace, "get", "networkpolicies", "-l", "app.kubernetes.io/instance="+stack, "-o", "name")
		n := len(strings.Fields(names))
		return n == 0 && value == "false" || n == 6 && value == "null", names
	})
	t.Cleanup(func() {
		_, _ = kubectlWith(context.WithoutCancel(t.Context()), "-n", namespace, "patch", "estack", stack, "--type=merge", "-p", `{"spec":{"networkPolicies":null}}`)
	})
}

// enforcePolicies enforces NetworkPolicies until the end of the test, which fails if rules
// remain.
func enforcePolicies(t *testing.T) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "cluster")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./hack/cluster")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program, "enforce")
	cmd.Dir, cmd.Stderr = "../..", os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // It may have ended.
		if err := cmd.Wait(); err != nil {
			t.Errorf("hack/cluster enforce: %v", err)
		}
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "enforced") {
		t.Fatalf("hack/cluster enforce printed %q, %v", line, err)
	}
}

// network is the pods between which connections are tried.
type network struct {
	image     string            // with bash
	pods      map[string]podRef // sources by name
	container string            // an ephemeral container of each pod, which has bash
	check     string            // a script that prints the destinations that it reaches
}

type podRef struct{ namespace, name string }

func (n *network) names() []string { return slices.Sorted(maps.Keys(n.pods)) }

// newNetwork finds the pods of the store and creates the impostors.
func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{pods: map[string]podRef{}, container: "flows-" + strings.ToLower(rand.Text()[:5])}
	n.image = mustKubectl(t, "-n", namespace, "get", "pod", stack+"-mysql-0", "-o", "jsonpath={.spec.containers[0].image}")
	n.createImpostors(t)
	addresses := map[string]string{}
	for component, where := range map[string]string{"gateway": "", "auth": "", "sales": "", "stock": "", "mysql": "", "rabbitmq": "", "operator": "ecommerce-system"} {
		in, selector := namespace, "app.kubernetes.io/instance="+stack+",app.kubernetes.io/managed-by=ecommerce-operator,app.kubernetes.io/name="+component
		if where != "" {
			in, selector = where, "app.kubernetes.io/name="+component
		}
		found := strings.Fields(mustKubectl(t, "-n", in, "get", "pods", "-l", selector, "--field-selector=status.phase=Running", "-o",
			"jsonpath={.items[0].metadata.name} {.items[0].status.podIP}"))
		if len(found) != 2 {
			t.Fatalf("the pod of %s is %q", component, found)
		}
		n.pods[component], addresses[component] = podRef{in, found[0]}, found[1]
	}
	addresses["kubernetes"] = mustKubectl(t, "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
	n.check = script(addresses)
	for _, pod := range n.pods {
		mustKubectl(t, "-n", pod.namespace, "debug", "pod/"+pod.name, "--container="+n.container, "--image="+n.image, "--image-pull-policy=IfNotPresent",
			"--profile=restricted", "--attach=false", "--", "sleep", "1800")
	}
	return n
}

// script returns a script for bash that tries one destination after the other. The firewall
// rejects connections, so a failure takes no time; a machine with other work needs seconds.
func script(addresses map[string]string) string {
	var text strings.Builder
	for _, to := range slices.Sorted(maps.Keys(flows)) {
		if host, port, isPort := strings.Cut(to, ":"); isPort {
			fmt.Fprintf(&text, "timeout 10 bash -c '</dev/tcp/%s/%s' 2>/dev/null && echo %s\n", addresses[host], port, to)
		} else {
			text.WriteString("timeout 10 getent hosts kubernetes.default.svc.cluster.local. >/dev/null && echo dns\n")
		}
	}
	return text.String() + "true\n"
}

func (n *network) createImpostors(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, _ = kubectlWith(ctx, "delete", "namespace", otherNamespace, "--ignore-not-found", "--wait=false")
		_, _ = kubectlWith(ctx, "-n", namespace, "delete", "pods", "-l", "ecommerce-stack.dev/test=policies", "--wait=false")
	})
	manifest := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + otherNamespace + "}\n"
	for name, pod := range impostors {
		n.pods[name] = podRef{pod.namespace, "policies-" + name}
		labels := strings.TrimSuffix(strings.ReplaceAll(pod.labels, "{}", "{"), "}")
		if labels != "{" {
			labels += ", "
		}
		manifest += fmt.Sprintf(`---
apiVersion: v1
kind: Pod
metadata: {name: policies-%s, namespace: %s, labels: %secommerce-stack.dev/test: policies}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  readinessGates: [{conditionType: ecommerce-stack.dev/never}]
  securityContext: {runAsNonRoot: true, runAsUser: 999, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: sleep
      image: %s
      command: [sleep, "1800"]
      securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
`, name, pod.namespace, labels, n.image)
	}
	if out, err := kubectl(t, manifest, "apply", "--filename=-"); err != nil {
		t.Fatalf("create the pods: %v\n%s", err, out)
	}
	for _, in := range []string{namespace, otherNamespace} {
		mustKubectl(t, "-n", in, "wait", "--for=condition=ContainersReady", "pods", "-l", "ecommerce-stack.dev/test=policies", "--timeout=2m")
	}
}

// await tries all connections until those that succeed are the wanted ones.
func (n *network) await(t *testing.T, want map[string][]string) {
	t.Helper()
	wanted := map[string][]string{}
	for to, from := range want {
		host, _, _ := strings.Cut(to, ":")
		// A connection of a pod to itself does not pass the firewall.
		wanted[to] = slices.Sorted(slices.Values(slices.DeleteFunc(slices.Clone(from), func(name string) bool { return name == host || name == undecided[to] })))
	}
	eventually(t, 5*time.Minute, func() (bool, any) {
		got, err := n.connections(t)
		if err != nil {
			return false, err
		}
		diff := cmp.Diff(wanted, got)
		return diff == "", "connections by destination (-want +got):\n" + diff
	})
}

// connections returns the pods that reach each destination.
func (n *network) connections(t *testing.T) (map[string][]string, error) {
	t.Helper()
	var mu sync.Mutex
	var failed error
	reached := map[string][]string{}
	var running sync.WaitGroup
	for _, from := range n.names() {
		running.Go(func() {
			out, err := n.try(t.Context(), n.pods[from])
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = fmt.Errorf("from %s: %w", from, err)
			}
			for _, to := range strings.Fields(out) {
				if host, _, _ := strings.Cut(to, ":"); host != from && undecided[to] != from {
					reached[to] = append(reached[to], from)
				}
			}
		})
	}
	running.Wait()
	for _, from := range reached {
		slices.Sort(from)
	}
	return reached, failed
}

// try runs the script in the network of a pod, and returns the destinations that it reached.
func (n *network) try(ctx context.Context, pod podRef) (string, error) {
	cmd := exec.CommandContext(ctx, "kubectl", "-n", pod.namespace, "exec", "pod/"+pod.name, "--container="+n.container, "--", "bash", "-c", n.check)
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, errors.String())
	}
	return string(out), nil
}
