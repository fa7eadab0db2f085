// Command cluster runs the Kubernetes cluster for development and CI:
//
//	go run ./hack/cluster up
//
// The provider is kind where a Docker engine runs, otherwise a single node on this machine
// from packages and Go modules. Progress is written to standard error, results to standard
// output.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/cluster/internal/bare"
	"ecommerce-stack.dev/hack/cluster/internal/kind"
	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/cluster/internal/release"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type commands struct {
	Provider string `help:"kind, bare, or auto: kind if a Docker engine responds and kind is on PATH." enum:"auto,kind,bare" default:"auto" env:"PROVIDER"`

	Up         upCommand         `cmd:"" help:"Start the cluster, or update a running one."`
	Down       downCommand       `cmd:"" help:"Stop the cluster and remove everything it created, except caches."`
	Status     statusCommand     `cmd:"" help:"Show the processes, the node and the pods of the cluster."`
	Logs       logsCommand       `cmd:"" help:"Show the logs of the components."`
	Kubeconfig kubeconfigCommand `cmd:"" help:"Print the path of the kubeconfig."`
	Assets     assetsCommand     `cmd:"" help:"Build what is missing and print the folder with kube-apiserver, etcd, kubectl and helm."`
	Images     imagesCommand     `cmd:"" help:"Print the images of MySQL and RabbitMQ that a stack in this cluster uses, if not the default ones."`
	Load       loadCommand       `cmd:"" help:"Load image archives into the cluster."`
	Supervise  superviseCommand  `cmd:"" hidden:""`
}

func main() {
	var cli commands
	ctx := kong.Parse(&cli, kong.Name("cluster"), kong.Description("The Kubernetes cluster for development and CI."), kong.UsageOnError())
	if err := ctx.Run(&environment{provider: cli.Provider, progress: progress.New(os.Stderr)}); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// environment is the state that the commands share.
type environment struct {
	provider string
	progress *progress.Printer
}

// stateDir is the folder with the state of the running cluster of any provider.
func (e *environment) stateDir() (node.Dir, error) {
	cache, err := workspace.Cache()
	return node.Dir(filepath.Join(cache, "cluster")), err
}

func (e *environment) bare() (*bare.Cluster, error) {
	root, err := workspace.Root()
	if err != nil {
		return nil, err
	}
	cache, err := workspace.Cache()
	if err != nil {
		return nil, err
	}
	dir, err := e.stateDir()
	return &bare.Cluster{Root: root, Cache: cache, Dir: dir, Progress: e.progress}, err
}

func (e *environment) kind() (*kind.Cluster, error) {
	root, err := workspace.Root()
	if err != nil {
		return nil, err
	}
	dir, err := e.stateDir()
	return &kind.Cluster{Root: root, Kubeconfig: dir.Kubeconfig(), Progress: e.progress, Run: kind.Command}, err
}

// useKind reports whether the provider is kind: the requested one, else that of the existing
// cluster, else kind where it works.
func (e *environment) useKind() (bool, error) {
	dir, err := e.stateDir()
	if err != nil {
		return false, err
	}
	there := providerOf(dir)
	switch {
	case e.provider == "auto" && there != "":
		return there == "kind", nil
	case e.provider == "auto":
		return kind.Available() == nil, nil
	case there != "" && there != e.provider:
		return false, fmt.Errorf("a %s cluster exists, and %s is requested: stop the other first with `PROVIDER=%[1]s make down`", there, e.provider)
	case e.provider == "kind":
		return true, kind.Available()
	}
	return false, nil
}

const providerFile = "provider"

// providerOf returns the provider of the cluster whose state is in a folder, or "".
func providerOf(dir node.Dir) string {
	name, err := os.ReadFile(dir.Path(providerFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// noCluster is the error of commands that need a running cluster.
func noCluster(dir node.Dir) error {
	if _, err := os.Stat(dir.Kubeconfig()); errors.Is(err, fs.ErrNotExist) {
		return bare.ErrDown
	}
	return nil
}

type superviseCommand struct {
	Dir string `arg:""`
}

func (s superviseCommand) Run() error { return node.Supervise(node.Dir(s.Dir)) }

type assetsCommand struct{}

func (assetsCommand) Run(e *environment) error {
	c, err := e.bare()
	if err != nil {
		return err
	}
	bin, err := release.Ensure(e.progress, c.Root, c.Cache)
	if err != nil {
		return err
	}
	fmt.Println(bin)
	return nil
}
