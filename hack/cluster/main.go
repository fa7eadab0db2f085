// Command cluster runs the Kubernetes cluster for development and CI:
//
//	go run ./hack/cluster up
//
// The provider is kind where a Docker engine responds, otherwise a single node on this machine
// from packages and Go modules. Progress is written to standard error, results to standard
// output.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/cluster/internal/bare"
	"ecommerce-stack.dev/hack/cluster/internal/kind"
	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/cluster/internal/release"
	"ecommerce-stack.dev/hack/cluster/internal/rootfs"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type commands struct {
	Provider string `help:"kind, bare, or auto: kind if a Docker engine responds." enum:"auto,kind,bare" default:"auto" env:"PROVIDER"`
	Port     int    `help:"Port of the gateway on this machine, 1 to 65535; 5001, or that of the existing cluster, by default." env:"PORT"`

	Up         upCommand         `cmd:"" help:"Start the cluster, or update a running one."`
	Down       downCommand       `cmd:"" help:"Stop the cluster and remove everything it created, except caches."`
	Status     statusCommand     `cmd:"" help:"Show the processes, the node and the pods of the cluster."`
	Logs       logsCommand       `cmd:"" help:"Show the logs of the components."`
	URL        urlCommand        `cmd:"" name:"url" help:"Print the address of the gateway."`
	Kubeconfig kubeconfigCommand `cmd:"" help:"Print the path of the kubeconfig."`
	Assets     assetsCommand     `cmd:"" help:"Build what is missing and print the folder with kube-apiserver, etcd, kubectl and helm."`
	Clients    clientsCommand    `cmd:"" help:"Print the folder with kubectl and helm; build them if they are missing."`
	Mysqld     mysqldCommand     `cmd:"" help:"Print the path of the MySQL server that the image of a bare cluster is made of, for private servers of tests."`
	Describe   describeCommand   `cmd:"" help:"Print kubeconfig, address of the gateway, folder of kubectl and helm, and the images of MySQL and RabbitMQ if they are not the default ones, as JSON."`
	Load       loadCommand       `cmd:"" help:"Load image archives into the cluster."`
	Enforce    enforceCommand    `cmd:"" help:"Enforce NetworkPolicies until interrupted. A bare cluster otherwise enforces none."`
	Supervise  superviseCommand  `cmd:"" hidden:""`
}

func main() {
	var cli commands
	ctx := kong.Parse(&cli, kong.Name("cluster"), kong.Description("The Kubernetes cluster for development and CI."), kong.UsageOnError())
	if err := ctx.Run(&environment{provider: cli.Provider, port: cli.Port, progress: progress.New(os.Stderr)}); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// environment is the state that the commands share.
type environment struct {
	provider string
	port     int // 0 without a choice
	progress *progress.Printer
}

// Validate is called by kong.
func (c commands) Validate() error {
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("--port (PORT) is %d, but must be from 1 to 65535", c.Port)
	}
	return nil
}

const (
	defaultPort = 5001
	portFile    = "port"
)

// gatewayPort returns the port of the gateway: the requested one, else that of the existing
// cluster, else the default.
func (e *environment) gatewayPort() (int, error) {
	if e.port != 0 {
		return e.port, nil
	}
	dir, err := e.stateDir()
	if err != nil {
		return 0, err
	}
	text, err := os.ReadFile(dir.Path(portFile))
	if errors.Is(err, fs.ErrNotExist) {
		return defaultPort, nil
	}
	if err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the port of the cluster (remove the file, or run `make down`): %w", err)
	}
	return port, nil
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
	if err != nil {
		return nil, err
	}
	port, err := e.gatewayPort()
	return &bare.Cluster{Root: root, Cache: cache, Dir: dir, Port: port, Progress: e.progress}, err
}

func (e *environment) kind() (*kind.Cluster, error) {
	root, err := workspace.Root()
	if err != nil {
		return nil, err
	}
	goTool, err := workspace.Go(root)
	if err != nil {
		return nil, err
	}
	dir, err := e.stateDir()
	if err != nil {
		return nil, err
	}
	port, err := e.gatewayPort()
	return &kind.Cluster{Root: root, Kubeconfig: dir.Kubeconfig(), Port: port, Progress: e.progress,
		Run: kind.Command(goTool, root), Wait: time.Second}, err
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
	bin, err := e.clients(false)
	if err != nil {
		return err
	}
	fmt.Println(bin)
	return nil
}

type clientsCommand struct{}

func (clientsCommand) Run(e *environment) error {
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	bin, err := e.clients(useKind)
	if err != nil {
		return err
	}
	fmt.Println(bin)
	return nil
}

// clients returns the folder with kubectl and helm, for a bare cluster also with kube-apiserver
// and etcd. It builds what is missing.
func (e *environment) clients(useKind bool) (string, error) {
	root, err := workspace.Root()
	if err != nil {
		return "", err
	}
	cache, err := workspace.Cache()
	if err != nil {
		return "", err
	}
	if useKind {
		return release.EnsureClients(e.progress, root, cache)
	}
	return release.Ensure(e.progress, root, cache)
}

type mysqldCommand struct{}

func (mysqldCommand) Run(*environment) error {
	cache, err := workspace.Cache()
	if err != nil {
		return err
	}
	program, err := rootfs.ExtractMySQL(cache)
	if err != nil {
		return err
	}
	fmt.Println(program)
	return nil
}

type urlCommand struct{}

func (urlCommand) Run(e *environment) error {
	port, err := e.gatewayPort()
	if err != nil {
		return err
	}
	fmt.Println(gatewayURL(port))
	return nil
}

func gatewayURL(port int) string { return fmt.Sprintf("http://localhost:%d", port) }
