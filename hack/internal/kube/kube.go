// Package kube runs kubectl, Helm and the commands of hack/cluster against the development
// cluster.
package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ecommerce-stack.dev/hack/internal/workspace"
)

// Cluster is the running development cluster and the tools for it.
type Cluster struct {
	Root       string `json:"-"` // of the checkout
	Kubeconfig string
	URL        string // of the gateway
	// ServerImages are the images of the embedded servers by name, if the cluster has others
	// than the default. It is empty for a cluster that pulls images from a registry.
	ServerImages map[string]string
	Clients      string // folder of kubectl and helm
	goTool       string
}

// Find returns the running cluster. The error contains the fix if none runs.
func Find(ctx context.Context) (*Cluster, error) { return open(ctx, "describe") }

// Load is Find, and also loads the images of docker-archives that the cluster does not have.
func Load(ctx context.Context, archives ...string) (*Cluster, error) {
	return open(ctx, append([]string{"load"}, archives...)...)
}

// open runs a command of hack/cluster that prints the description of the cluster.
func open(ctx context.Context, arguments ...string) (*Cluster, error) {
	c := &Cluster{}
	var err error
	if c.Root, err = workspace.Root(); err != nil {
		return nil, err
	}
	if c.goTool, err = workspace.Go(c.Root); err != nil {
		return nil, err
	}
	description, err := c.Command(ctx, arguments...)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal([]byte(description), c); err != nil {
		return nil, fmt.Errorf("read the output of hack/cluster %s: %w", arguments[0], err)
	}
	return c, nil
}

// Command runs a command of hack/cluster and returns its standard output without the final
// newline.
func (c *Cluster) Command(ctx context.Context, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.goTool, append([]string{"run", "./hack/cluster"}, arguments...)...)
	cmd.Dir, cmd.Stderr = c.Root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go run ./hack/cluster %s: %w", arguments[0], err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Run runs kubectl or helm in the checkout, with input as its standard input, and returns
// its output.
func (c *Cluster) Run(ctx context.Context, input, name string, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(c.Clients, name), arguments...)
	cmd.Dir, cmd.Env, cmd.Stdin = c.Root, append(os.Environ(), "KUBECONFIG="+c.Kubeconfig), strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, arguments[0], err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
