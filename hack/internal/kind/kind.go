// Package kind runs the development cluster in Docker, by way of kind.
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

// Name is of the cluster and, after "kind-", of its kubeconfig's context.
const Name = "ecommerce-stack"

// Cluster is the kind cluster of that name.
type Cluster struct {
	Root       string // of the checkout, which has kind.yaml
	Kubeconfig string
	Progress   *progress.Printer
	// Run runs a command and returns what it prints; tests replace it.
	Run func(name string, args ...string) (string, error)
}

// Command runs a command of the machine.
func Command(name string, args ...string) (string, error) {
	var out, messages bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, strings.TrimSpace(messages.String()))
	}
	return out.String(), nil
}

// Available says why kind cannot be used here, if it cannot.
func Available() error {
	for _, name := range []string{"kind", "docker"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%s is not on PATH: install it, or set PROVIDER=bare", name)
		}
	}
	if _, err := Command("docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return errors.New("the Docker engine does not answer: start it, or set PROVIDER=bare")
	}
	return nil
}

// Up creates the cluster unless it is there.
func (c *Cluster) Up() error {
	there, err := c.exists()
	if err != nil {
		return err
	}
	if there {
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

// Down deletes the cluster.
func (c *Cluster) Down() error {
	return c.Progress.Run("Delete the kind cluster", func(func(string)) error {
		if _, err := c.Run("kind", "delete", "cluster", "--name", Name, "--kubeconfig", c.Kubeconfig); err != nil {
			return err
		}
		return os.RemoveAll(filepath.Dir(c.Kubeconfig))
	})
}

// Load puts docker-archives onto the cluster's nodes.
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

// Status writes how the cluster fares. It is an error when there is none.
func (c *Cluster) Status(out io.Writer) error {
	there, err := c.exists()
	if err != nil {
		return err
	}
	if !there {
		return errors.New("the cluster is down: start it with `make up`")
	}
	nodes, err := c.Run("docker", "ps", "--all", "--filter", "label=io.x-k8s.kind.cluster="+Name, "--format", "table {{.Names}}\t{{.Status}}\t{{.Ports}}")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "A kind cluster\n\n%s\nexport KUBECONFIG=%s\n", nodes, c.Kubeconfig)
	return nil
}

// Logs collects the logs of the node and its components in a folder.
func (c *Cluster) Logs(folder string) error {
	_, err := c.Run("kind", "export", "logs", folder, "--name", Name)
	return err
}

func (c *Cluster) exists() (bool, error) {
	clusters, err := c.Run("kind", "get", "clusters")
	return slices.Contains(strings.Fields(clusters), Name), err
}
