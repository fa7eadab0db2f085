package bare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/internal/process"
	"ecommerce-stack.dev/hack/internal/progress"
)

// ErrDown is returned when no cluster runs.
var ErrDown = errors.New("the cluster does not run: start it with `make up`")

// Status writes the state of the components, the node and the pods to out. It
// returns ErrDown if no cluster runs, and an error if a component is not ready.
func (c *Cluster) Status(out io.Writer) error {
	record, running := node.Running(c.Dir)
	if !running {
		return ErrDown
	}
	statuses, err := node.Statuses(c.Dir)
	if err != nil {
		return err
	}
	children, err := process.Children(record.PID)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Bare cluster, running for %s, supervisor process %d\n\n", progress.Short(time.Since(record.Started)), record.PID)
	if err := c.table(out, statuses, children); err != nil {
		return err
	}
	if waiting := notReady(names(statuses), statuses); len(waiting) > 0 {
		return fmt.Errorf("not ready: %s; read the logs with `go run ./hack/cluster logs %s`", strings.Join(waiting, ", "), waiting[0])
	}
	return c.summary(out)
}

func (c *Cluster) table(out io.Writer, statuses []node.Status, children []process.Child) error {
	byInner := map[int]process.Child{}
	for _, child := range children {
		byInner[child.InnerPID] = child
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tHEALTH\tPID\tUPTIME\tRESTARTS\tMEMORY\tLOG")
	for _, status := range statuses {
		health, pid, uptime, memory := "starting", "-", "-", "-"
		if status.Ready {
			health = "ready"
		}
		if status.PID == 0 {
			health = "waiting"
			if status.LastExit != "" {
				health = "ended: " + status.LastExit
			}
		} else if child, ok := byInner[status.PID]; ok {
			pid, uptime = fmt.Sprint(child.PID), progress.Short(time.Since(status.Since))
			memory = fmt.Sprintf("%d MiB", child.Resident>>20)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%d\t%s\t%s\n", status.Name, health, pid, uptime, status.Restarts, memory, c.Dir.Log(status.Name))
	}
	return table.Flush()
}

// summary writes a line about the node and one about the pods.
func (c *Cluster) summary(out io.Writer) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	machine, err := client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get the node: %w", err)
	}
	pods, err := client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list the pods: %w", err)
	}
	phases := map[string]int{}
	for _, pod := range pods.Items {
		phases[string(pod.Status.Phase)]++
	}
	var counts []string
	for _, phase := range slices.Sorted(maps.Keys(phases)) {
		counts = append(counts, fmt.Sprintf("%d %s", phases[phase], phase))
	}
	if len(counts) == 0 {
		counts = []string{"none"}
	}
	ready := "Ready"
	if !nodeReady(machine) {
		ready = "NotReady"
	}
	fmt.Fprintf(out, "\nNode  %s %s (Kubernetes %s)\nPods  %s\n", machine.Name, ready, machine.Status.NodeInfo.KubeletVersion, strings.Join(counts, ", "))
	fmt.Fprintf(out, "\nexport KUBECONFIG=%s\n", c.Dir.Kubeconfig())
	return nil
}

func names(statuses []node.Status) []string {
	var names []string
	for _, status := range statuses {
		names = append(names, status.Name)
	}
	return names
}

// Logs returns the log files of the component, or of all components if
// component is "". It returns ErrDown if no cluster runs.
func (c *Cluster) Logs(component string) ([]string, error) {
	statuses, err := node.Statuses(c.Dir)
	if err != nil {
		return nil, err
	}
	if len(statuses) == 0 {
		return nil, ErrDown
	}
	known := append([]string{"supervisor"}, names(statuses)...)
	if component == "" {
		var paths []string
		for _, name := range known {
			paths = append(paths, c.Dir.Log(name))
		}
		return paths, nil
	}
	if !slices.Contains(known, component) {
		return nil, fmt.Errorf("unknown component %q: use one of %s; for a pod use kubectl logs", component, strings.Join(known, ", "))
	}
	return []string{c.Dir.Log(component)}, nil
}
