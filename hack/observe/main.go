// Command observe brings Prometheus, Alertmanager and Jaeger, and Grafana where its image can
// be pulled, up on the cluster of `make up`, with the scrape configuration, rules and
// dashboards of this repository:
//
//	go run ./hack/observe up
//
// On a cluster without a registry it builds the servers from their Go modules, once. It can
// be interrupted and repeated, and `down` removes what it created.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/kube"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type commands struct {
	Up     upCommand     `cmd:"" help:"Start the servers, or update running ones."`
	Images imagesCommand `cmd:"" help:"Build the images and load them into the cluster, as up does first."`
	Down   downCommand   `cmd:"" help:"Remove everything that up created."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "observe:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	var cli commands
	parser, err := kong.New(&cli, kong.Name("observe"), kong.Description("Observe the stacks of the development cluster."))
	if err != nil {
		return err
	}
	command, err := parser.Parse(arguments)
	if err != nil {
		return err
	}
	command.BindTo(ctx, (*context.Context)(nil))
	return command.Run(progress.New(os.Stderr))
}

type imagesCommand struct {
	Tracing bool `help:"Run Jaeger, and let the stack send traces." default:"true" negatable:""`
}

func (i imagesCommand) Run(ctx context.Context, p *progress.Printer) error {
	cluster, err := find(ctx, p)
	if err != nil {
		return err
	}
	_, _, err = i.references(ctx, p, cluster)
	return err
}

type upCommand struct {
	imagesCommand `embed:""`
	FastAlerts    bool   `help:"Evaluate alerts over seconds instead of minutes, for tests and demonstrations."`
	Stack         string `help:"Name of the stack that sends traces." default:"demo"`
	Namespace     string `help:"Namespace of the stack." default:"shop"`
}

func (u upCommand) Run(ctx context.Context, p *progress.Printer) error {
	cluster, err := find(ctx, p)
	if err != nil {
		return err
	}
	references, registry, err := u.references(ctx, p, cluster)
	if err != nil {
		return err
	}
	servers, err := u.servers(cluster.Root, references, registry)
	if err != nil {
		return err
	}
	if err := deploy(ctx, p, cluster, servers); err != nil {
		return err
	}
	if u.Tracing {
		if err := trace(ctx, p, cluster, u.Namespace, u.Stack); err != nil {
			return err
		}
	}
	p.Printf("%s", instructions(servers, registry))
	return nil
}

// references returns the references of the images by name, and whether the cluster pulls them
// from a registry. Otherwise it builds them and loads them into the cluster.
func (i imagesCommand) references(ctx context.Context, p *progress.Printer, cluster *kube.Cluster) (references map[string]string, registry bool, err error) {
	references = map[string]string{"grafana": grafanaImage}
	names := []string{"prometheus", "alertmanager"}
	if i.Tracing {
		names = append(names, "jaeger")
	}
	if len(cluster.ServerImages) == 0 {
		for _, name := range names {
			references[name] = images[name].registry
		}
		return references, true, nil
	}
	goTool, err := workspace.Go(cluster.Root)
	if err != nil {
		return nil, false, err
	}
	cache, err := workspace.Cache()
	if err != nil {
		return nil, false, err
	}
	load := []string{"load"}
	for _, name := range names {
		reference, file, err := images[name].ensure(ctx, p, goTool, cache)
		if err != nil {
			return nil, false, err
		}
		references[name], load = reference, append(load, file)
	}
	_, err = cluster.Command(ctx, load...)
	return references, false, err
}

type downCommand struct {
	Stack     string `help:"Name of the stack that sends traces." default:"demo"`
	Namespace string `help:"Namespace of the stack." default:"shop"`
}

func (d downCommand) Run(ctx context.Context, p *progress.Printer) error {
	cluster, err := find(ctx, p)
	if err != nil {
		return err
	}
	if err := p.Run("Stop sending traces", func(func(string)) error {
		return untrace(ctx, cluster, d.Namespace, d.Stack)
	}); err != nil {
		return err
	}
	return p.Run("Remove the namespace "+namespace, func(func(string)) error {
		_, err := cluster.Run(ctx, "", "kubectl", "delete", "namespace/"+namespace, "clusterrole/"+clusterRole,
			"clusterrolebinding/"+clusterRole, "--ignore-not-found", "--timeout=3m")
		return err
	})
}

// find returns the running cluster. The error contains the fix.
func find(ctx context.Context, p *progress.Printer) (*kube.Cluster, error) {
	var cluster *kube.Cluster
	err := p.Run("find the cluster", func(func(string)) (err error) {
		if cluster, err = kube.Find(ctx); err == nil {
			_, err = cluster.Run(ctx, "", "kubectl", "get", "crd", crd, "--output=name")
		}
		if err != nil && ctx.Err() == nil {
			return errors.Join(err, errors.New("start the store first: make up"))
		}
		return err
	})
	return cluster, err
}
