package bare

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/internal/state"
)

//go:embed manifests.yaml
var manifests []byte

// Timeouts, which allow for a slow machine under load.
const (
	componentsTimeout = 3 * time.Minute
	nodeTimeout       = 2 * time.Minute
)

// completeStart applies the manifests and loads the images of a started cluster,
// and returns when its node is ready.
func (c *Cluster) completeStart(plan plan) error {
	wait := func(what string, names []string) error {
		return c.Progress.Run("Wait for "+what, func(detail func(string)) error { return c.waitForComponents(names, detail) })
	}
	if err := wait("the API server", []string{"etcd", "kube-apiserver"}); err != nil {
		return err
	}
	// Some of the other components become ready only with these RBAC rules.
	if err := c.apply(plan.bin); err != nil {
		return err
	}
	var all []string
	for _, component := range plan.config.Components {
		all = append(all, component.Name)
	}
	if err := wait("the components", all); err != nil {
		return err
	}
	if err := c.Progress.Run("Load images", func(detail func(string)) error {
		return c.importMissing(plan.archives, detail)
	}); err != nil {
		return err
	}
	return c.Progress.Run("Wait for the node", func(func(string)) error { return c.waitForNode() })
}

func (c *Cluster) waitForComponents(names []string, detail func(string)) error {
	waiting := names
	err := wait.PollUntilContextTimeout(context.Background(), 100*time.Millisecond, componentsTimeout, true, func(context.Context) (bool, error) {
		if _, running := node.Running(c.Dir); !running {
			return false, fmt.Errorf("the supervisor ended\n%s", c.tail("supervisor"))
		}
		statuses, err := node.Statuses(c.Dir)
		if err != nil {
			return false, err
		}
		if waiting = notReady(names, statuses); len(waiting) > 0 {
			detail(strings.Join(waiting, ", "))
		}
		return len(waiting) == 0, nil
	})
	if wait.Interrupted(err) {
		return fmt.Errorf("%s not ready after %s\n%s", strings.Join(waiting, ", "), componentsTimeout, c.tail(waiting[0]))
	}
	return err
}

func notReady(names []string, statuses []node.Status) []string {
	ready := map[string]bool{}
	for _, status := range statuses {
		ready[status.Name] = status.Ready
	}
	var waiting []string
	for _, name := range names {
		if !ready[name] {
			waiting = append(waiting, name)
		}
	}
	return waiting
}

// tail returns the last lines of a component's log, for an error message.
func (c *Cluster) tail(component string) string {
	const lines = 15
	path := c.Dir.Log(component)
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	all := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	end := bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
	return fmt.Sprintf("The last lines of %s:\n%s", path, end)
}

// apply applies the manifests unless the same manifests were applied before.
func (c *Cluster) apply(bin string) error {
	marker, sum := c.appliedMarker(), sha256.Sum256(manifests)
	digest := []byte(hex.EncodeToString(sum[:]))
	if applied, err := os.ReadFile(marker); err == nil && bytes.Equal(applied, digest) {
		return nil
	}
	return c.Progress.Run("Apply the cluster's base manifests", func(func(string)) error {
		cmd := exec.Command(filepath.Join(bin, "kubectl"), "--kubeconfig", c.Dir.Kubeconfig(),
			"apply", "--server-side", "--force-conflicts", "--field-manager=ecommerce-cluster", "--filename=-")
		cmd.Stdin = bytes.NewReader(manifests)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("kubectl apply: %w\n%s\nIf a field is immutable, create a new cluster: make down up", err, bytes.TrimSpace(out))
		}
		return state.Write(marker, digest, 0o600)
	})
}

// appliedMarker returns the path of the file with the digest of the applied
// manifests.
func (c *Cluster) appliedMarker() string { return c.Dir.Path("applied") }

// waitForNode waits until pods can be created: the node is ready and the
// default service account exists.
func (c *Cluster) waitForNode() error {
	client, err := c.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), nodeTimeout)
	defer cancel()
	for {
		err := checkNode(ctx, client)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the node is not ready after %s: %w\n%s", nodeTimeout, err, c.tail("kubelet"))
		}
	}
}

func checkNode(ctx context.Context, client kubernetes.Interface) error {
	machine, err := client.CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	if !nodeReady(machine) {
		return errors.New("the kubelet does not report the condition Ready")
	}
	_, err = client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
	return err
}

func nodeReady(machine *corev1.Node) bool {
	for _, condition := range machine.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func (c *Cluster) client() (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.Dir.Kubeconfig())
	if err != nil {
		return nil, err
	}
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}
