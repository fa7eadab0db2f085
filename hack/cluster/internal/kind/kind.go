// Package kind runs the development cluster in Docker with kind, whose version hack/tools pins
// and with it the image of the node.
package kind

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/state"
)

// Name is the name of the cluster. The context in its kubeconfig is "kind-" and
// the name.
const Name = "ecommerce-stack"

// node is the name of the container of the only node.
const node = Name + "-control-plane"

// startTimeout bounds the time in which a node that was started again becomes Ready.
const startTimeout = 90 * time.Second

// Cluster is the kind cluster that is called Name.
type Cluster struct {
	Root       string // of the checkout, which has kind.yaml
	Kubeconfig string
	// Port is the port of the gateway on this machine.
	Port     int
	Progress *progress.Printer
	// Run runs a command and returns its standard output; tests replace it.
	Run func(name string, args ...string) (string, error)
	// Wait is the time between two looks at a node that starts; tests shorten it.
	Wait time.Duration
}

// Command returns a function that runs a command and returns its standard output; kind is the
// tool of the given Go toolchain. The error contains its standard error.
func Command(goTool, root string) func(name string, args ...string) (string, error) {
	return func(name string, args ...string) (string, error) {
		var out, messages bytes.Buffer
		cmd := exec.Command(name, args...)
		if name == "kind" {
			cmd = exec.Command(goTool, append([]string{"tool", "kind"}, args...)...)
			cmd.Dir, cmd.Env = filepath.Join(root, "hack", "tools"), append(os.Environ(), "GOWORK=off")
		}
		cmd.Stdout, cmd.Stderr = &out, &messages
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(messages.String()))
		}
		return out.String(), nil
	}
}

// Available returns an error, with the fix, if there is no Docker engine.
func Available() error {
	if _, err := exec.LookPath("docker"); err != nil {
		return errors.New("docker is not on PATH: install Docker, or set PROVIDER=bare on Debian as root")
	}
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		return fmt.Errorf("the Docker engine does not respond: start it, or set PROVIDER=bare on Debian as root\n%s", bytes.TrimSpace(out))
	}
	return nil
}

// Up creates the cluster if it does not exist, and starts it if it is stopped. One whose
// creation was interrupted is created again.
func (c *Cluster) Up() error {
	exists, err := c.exists()
	if err != nil {
		return err
	}
	if exists {
		complete, err := c.start()
		if err != nil || complete {
			return errors.Join(err, c.exportKubeconfig())
		}
		c.Progress.Printf("  ! The creation of the cluster was interrupted: creating it again")
		if err := c.remove(); err != nil {
			return err
		}
	}
	return c.create()
}

func (c *Cluster) create() error {
	configuration, err := c.configuration()
	if err != nil {
		return err
	}
	err = c.Progress.Run("Create the kind cluster", func(func(string)) error {
		_, err := c.Run("kind", "create", "cluster", "--name", Name, "--config", configuration, "--kubeconfig", c.Kubeconfig, "--wait", "180s")
		return err
	})
	if err == nil {
		return nil
	}
	if holder := c.portHolder(); strings.Contains(err.Error(), "port is already allocated") || strings.Contains(err.Error(), "address already in use") {
		err = fmt.Errorf("port %d is in use%s: stop that, or choose another port with PORT=: %w", c.Port, holder, err)
	}
	return errors.Join(err, c.remove()) // Half of a cluster would be taken for one.
}

// configuration writes kind.yaml with Port next to the kubeconfig and returns its path.
func (c *Cluster) configuration() (string, error) {
	template, err := os.ReadFile(filepath.Join(c.Root, "kind.yaml"))
	if err != nil {
		return "", err
	}
	const port = "hostPort: 5001"
	if bytes.Count(template, []byte(port)) != 1 {
		return "", fmt.Errorf("kind.yaml does not have %q once", port)
	}
	path := filepath.Join(filepath.Dir(c.Kubeconfig), "kind.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, state.Write(path, bytes.Replace(template, []byte(port), []byte("hostPort: "+strconv.Itoa(c.Port)), 1), 0o600)
}

// portHolder returns the container that publishes Port, formatted for an error message, or "".
func (c *Cluster) portHolder() string {
	out, err := c.Run("docker", "ps", "--filter", "publish="+strconv.Itoa(c.Port), "--format", "{{.Names}} ({{.Image}})")
	if name := strings.TrimSpace(out); err == nil && name != "" {
		return " by the container " + strings.ReplaceAll(name, "\n", ", ")
	}
	return ""
}

func (c *Cluster) exportKubeconfig() error {
	if err := os.MkdirAll(filepath.Dir(c.Kubeconfig), 0o700); err != nil {
		return err
	}
	_, err := c.Run("kind", "export", "kubeconfig", "--name", Name, "--kubeconfig", c.Kubeconfig)
	return err
}

// start starts the node if it is stopped. It reports whether the cluster is complete: kind
// removes the taint of the only node and adds the StorageClass as the last steps of a creation.
func (c *Cluster) start() (complete bool, err error) {
	status, err := c.Run("docker", "inspect", "--format", "{{.State.Status}}", node)
	if err != nil {
		return false, nil //nolint:nilerr // There is a network or another container, but no node.
	}
	if status = strings.TrimSpace(status); status != "running" {
		if err := c.Progress.Run("Start the node, which is "+status, func(func(string)) error {
			_, err := c.Run("docker", map[bool]string{true: "unpause", false: "start"}[status == "paused"], node)
			return err
		}); err != nil {
			return false, err
		}
	}
	var last error // The API server does not respond while the node starts.
	err = wait.PollUntilContextTimeout(context.Background(), c.Wait, startTimeout, true, func(context.Context) (bool, error) {
		var ready bool
		ready, complete, last = c.inspect()
		return last == nil && (ready || !complete), nil
	})
	if err != nil {
		return false, errors.Join(fmt.Errorf("the node is not Ready after %s: see `make logs`, or create the cluster again with `make down` and `make up`", startTimeout), last)
	}
	return complete, nil
}

// inspect returns whether the node is Ready, and whether the cluster is complete.
func (c *Cluster) inspect() (ready, complete bool, err error) {
	out, err := c.kubectl("get", "nodes,storageclasses", "--output", "json")
	if err != nil {
		if strings.Contains(err.Error(), "admin.conf") { // It is written by kubeadm, early in the creation.
			return false, false, nil
		}
		return false, true, err
	}
	var list struct {
		Items []struct {
			Kind   string
			Spec   struct{ Taints []struct{ Key string } }
			Status struct {
				Conditions []struct{ Type, Status string }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return false, true, fmt.Errorf("read the nodes: %w", err)
	}
	var tainted, storage bool
	for _, i := range list.Items {
		storage = storage || i.Kind == "StorageClass"
		for _, t := range i.Spec.Taints {
			tainted = tainted || t.Key == "node-role.kubernetes.io/control-plane"
		}
		for _, condition := range i.Status.Conditions {
			ready = ready || condition.Type == "Ready" && condition.Status == "True"
		}
	}
	return ready, storage && !tainted, nil
}

// kubectl runs kubectl in the node.
func (c *Cluster) kubectl(args ...string) (string, error) {
	return c.Run("docker", append([]string{"exec", node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=10s"}, args...)...)
}

// Down deletes the cluster and the folder of its kubeconfig.
func (c *Cluster) Down() error {
	if err := c.remove(); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Dir(c.Kubeconfig))
}

func (c *Cluster) remove() error {
	return c.Progress.Run("Delete the kind cluster", func(func(string)) error {
		_, err := c.Run("kind", "delete", "cluster", "--name", Name, "--kubeconfig", c.Kubeconfig)
		return err
	})
}

// Load imports the docker-archives whose images the node does not have.
func (c *Cluster) Load(archives []string) error {
	out, err := c.Run("docker", "exec", node, "crictl", "images", "--output", "json")
	if err != nil {
		return err
	}
	var present struct{ Images []struct{ RepoTags []string } }
	if err := json.Unmarshal([]byte(out), &present); err != nil {
		return fmt.Errorf("read the images of the node: %w", err)
	}
	var tags []string
	for _, i := range present.Images {
		tags = append(tags, i.RepoTags...)
	}
	for _, path := range archives {
		references, err := archive.References(path)
		if err != nil {
			return err
		}
		if len(references) > 0 && !slices.ContainsFunc(references, func(r string) bool { return !slices.Contains(tags, r) }) {
			continue
		}
		if err := c.Progress.Run("Load "+strings.Join(references, ", "), func(func(string)) error {
			_, err := c.Run("kind", "load", "image-archive", path, "--name", Name)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Status writes the state of the cluster's node and pods to out. It returns an error if
// the cluster does not exist.
func (c *Cluster) Status(out io.Writer) error {
	if err := c.mustExist(); err != nil {
		return err
	}
	nodes, err := c.Run("docker", "ps", "--all", "--filter", "label=io.x-k8s.kind.cluster="+Name, "--format", "table {{.Names}}\t{{.Status}}\t{{.Ports}}")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Kind cluster\n\n%s\n", nodes)
	objects, err := c.kubectl("get", "nodes,pods", "--all-namespaces")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s\nexport KUBECONFIG=%s\n", objects, c.Kubeconfig)
	return nil
}

// services are the components that run in the node without a pod.
var services = []string{"kubelet", "containerd"}

// Logs writes the last lines of a component to out, or of all without a name. Components are
// the services of the node, and the containers of the namespace kube-system.
func (c *Cluster) Logs(out io.Writer, component string, lines int) error {
	if err := c.mustExist(); err != nil {
		return err
	}
	found, err := c.Run("docker", "exec", node, "sh", "-c", "ls -1 /var/log/containers")
	if err != nil {
		return err
	}
	shown := false
	show := func(name string, command ...string) error {
		if component != "" && !strings.HasPrefix(name, component) {
			return nil
		}
		shown = true
		text, err := c.Run("docker", append([]string{"exec", node}, command...)...)
		fmt.Fprintf(out, "==> %s <==\n%s\n", name, text)
		return err
	}
	for _, name := range services {
		if err := show(name, "journalctl", "--no-pager", "--unit", name, "--lines", strconv.Itoa(lines)); err != nil {
			return err
		}
	}
	for _, file := range strings.Fields(found) {
		if !strings.Contains(file, "_kube-system_") {
			continue
		}
		if err := show(strings.TrimSuffix(file, ".log"), "tail", "--lines", strconv.Itoa(lines), "/var/log/containers/"+file); err != nil {
			return err
		}
	}
	if !shown {
		return fmt.Errorf("there is no component %q: name one of %s, or a container such as kube-apiserver", component, strings.Join(services, ", "))
	}
	return nil
}

func (c *Cluster) mustExist() error {
	exists, err := c.exists()
	if err == nil && !exists {
		err = errors.New("the cluster does not exist: create it with `make up`")
	}
	return err
}

func (c *Cluster) exists() (bool, error) {
	clusters, err := c.Run("kind", "get", "clusters")
	return slices.Contains(strings.Fields(clusters), Name), err
}
