// Package kind runs the development cluster in Docker with kind.
package kind

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/internal/progress"
)

// Name is the name of the cluster. The context in its kubeconfig is "kind-" and
// the name.
const Name = "ecommerce-stack"

// Cluster is the kind cluster that is called Name.
type Cluster struct {
	Root       string // of the checkout, which has kind.yaml
	Kubeconfig string
	Progress   *progress.Printer
	// Run runs a command and returns its standard output; tests replace it.
	Run func(name string, args ...string) (string, error)
}

// Command runs a command and returns its standard output. The error contains its
// standard error.
func Command(name string, args ...string) (string, error) {
	var out, messages bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(messages.String()))
	}
	return out.String(), nil
}

// Available returns an error, with the fix, if kind or Docker cannot be used.
func Available() error {
	for _, name := range []string{"kind", "docker"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not on PATH: install it, or set PROVIDER=bare", name)
		}
	}
	if _, err := Command("docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return errors.New("the Docker engine does not respond: start it, or set PROVIDER=bare")
	}
	return nil
}

// Up creates the cluster if it does not exist, and writes its kubeconfig.
func (c *Cluster) Up() error {
	exists, err := c.exists()
	if err != nil {
		return err
	}
	if exists {
		if err := os.MkdirAll(filepath.Dir(c.Kubeconfig), 0o700); err != nil {
			return err
		}
		_, err := c.Run("kind", "export", "kubeconfig", "--name", Name, "--kubeconfig", c.Kubeconfig)
		return err
	}
	return c.Progress.Run("Create the kind cluster", func(func(string)) error {
		if err := os.MkdirAll(filepath.Dir(c.Kubeconfig), 0o700); err != nil {
			return err
		}
		_, err := c.Run("kind", "create", "cluster", "--config", filepath.Join(c.Root, "kind.yaml"), "--kubeconfig", c.Kubeconfig, "--wait", "180s")
		return err
	})
}

// Down deletes the cluster and its kubeconfig.
func (c *Cluster) Down() error {
	return c.Progress.Run("Delete the kind cluster", func(func(string)) error {
		if _, err := c.Run("kind", "delete", "cluster", "--name", Name, "--kubeconfig", c.Kubeconfig); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Dir(c.Kubeconfig))
	})
}

// Load imports docker-archives on the cluster's nodes.
func (c *Cluster) Load(archives []string) error {
	for _, path := range archives {
		if err := c.Progress.Run("Load "+path, func(func(string)) error {
			_, err := c.Run("kind", "load", "image-archive", path, "--name", Name)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// Status writes the state of the cluster's nodes to out. It returns an error if
// the cluster does not exist.
func (c *Cluster) Status(out io.Writer) error {
	exists, err := c.exists()
	if err != nil {
		return err
	}
	if !exists {
		return errors.New("the cluster does not exist: create it with `make up`")
	}
	nodes, err := c.Run("docker", "ps", "--all", "--filter", "label=io.x-k8s.kind.cluster="+Name, "--format", "table {{.Names}}\t{{.Status}}\t{{.Ports}}")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Kind cluster\n\n%s\nexport KUBECONFIG=%s\n", nodes, c.Kubeconfig)
	return nil
}

// Logs exports the logs of the nodes and their components to a folder.
func (c *Cluster) Logs(folder string) error {
	_, err := c.Run("kind", "export", "logs", folder, "--name", Name)
	return err
}

func (c *Cluster) exists() (bool, error) {
	clusters, err := c.Run("kind", "get", "clusters")
	return slices.Contains(strings.Fields(clusters), Name), err
}
