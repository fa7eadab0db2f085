// Command install installs a store in the cluster that `go run ./hack/cluster up` started,
// with the images that `go run ./hack/image` built: it installs the operator's chart,
// applies the sample stack, and waits until the stack is Ready with these images and the
// gateway responds. It can be repeated, and upgrades an existing installation.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/kube"
	"ecommerce-stack.dev/hack/internal/progress"
)

const (
	operatorNamespace = "ecommerce-system"
	release           = "ecommerce"
	readyTimeout      = 6 * time.Minute
	gatewayTimeout    = time.Minute
)

type options struct {
	Stack     string `help:"Name of the stack." default:"demo"`
	Namespace string `help:"Namespace of the stack." default:"shop"`
	URL       string `help:"URL of the gateway." env:"GATEWAY_URL" default:"http://localhost:5001"`
}

// installer runs the steps of the installation.
type installer struct {
	options
	progress *progress.Printer
	cluster  *kube.Cluster
	tag      string
	exporter string            // image of mysqld_exporter
	servers  map[string]string // images of the embedded servers, if the cluster has others than the default
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Install the operator and the sample stack."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	i := &installer{options: o, progress: progress.New(os.Stderr)}
	for _, step := range []struct {
		what string
		do   func(context.Context, func(string)) error
	}{
		{"find cluster, tools and images", i.find},
		{"install the operator", i.operator},
		{"apply config/samples/stack.yaml", i.sample},
		{"wait until stack " + o.Namespace + "/" + o.Stack + " is Ready", i.ready},
		{"wait until the gateway responds at " + o.URL, i.gateway},
	} {
		if err := i.progress.Run(step.what, func(detail func(string)) error { return step.do(ctx, detail) }); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (i *installer) find(ctx context.Context, _ func(string)) error {
	var err error
	if i.cluster, err = kube.Find(ctx); err != nil {
		return err
	}
	if i.servers, err = i.cluster.ServerImages(ctx); err != nil {
		return err
	}
	raw, err := os.ReadFile(filepath.Join(i.cluster.Root, "_out", "images", "images.json"))
	if err != nil {
		return fmt.Errorf("%w (build the images first: make images)", err)
	}
	var built struct {
		Tag    string
		Images map[string]string
	}
	if err := json.Unmarshal(raw, &built); err != nil || built.Tag == "" {
		return fmt.Errorf("read _out/images/images.json: %w", errors.Join(err, errors.New("no tag")))
	}
	i.tag, i.exporter = built.Tag, built.Images["mysqld-exporter"]
	return nil
}

// tool runs kubectl or helm against the cluster and returns its output.
func (i *installer) tool(ctx context.Context, name string, arguments ...string) (string, error) {
	return i.cluster.Run(ctx, "", name, arguments...)
}

func (i *installer) operator(ctx context.Context, detail func(string)) error {
	arguments := []string{"upgrade", "--install", release, "charts/operator", "--namespace", operatorNamespace,
		"--create-namespace", "--set", "image.tag=" + i.tag, "--set", "defaults.mysqlExporterImage=" + i.exporter}
	for name, image := range i.servers {
		arguments = append(arguments, "--set", "defaults."+name+"Image="+image)
	}
	// Adds the library as it is now; --dependency-update leaves an older one in place.
	if _, err := i.tool(ctx, "helm", "dependency", "update", "charts/operator", "--skip-refresh"); err != nil {
		return err
	}
	if _, err := i.tool(ctx, "helm", arguments...); err != nil {
		return err
	}
	detail("waiting for its pod")
	_, err := i.tool(ctx, "kubectl", "--namespace", operatorNamespace, "rollout", "status", "deployment",
		"--selector", "app.kubernetes.io/instance="+release, "--timeout=3m")
	if err != nil {
		return errors.Join(err, errors.New("see `kubectl -n "+operatorNamespace+" get pods,events`"))
	}
	return nil
}

func (i *installer) sample(ctx context.Context, _ func(string)) error {
	_, err := i.tool(ctx, "kubectl", "apply", "--filename", "config/samples/stack.yaml")
	return err
}

// status is the part of a stack that this program reads.
type status struct {
	Metadata struct{ Generation int64 }
	Status   struct {
		ObservedGeneration int64
		Phase              string
		Conditions         []struct{ Type, Status, Message string }
		Components         []struct{ Name, Image string }
	}
}

// ready waits for the stack, and shows its phase.
func (i *installer) ready(ctx context.Context, detail func(string)) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var last status
	for {
		out, err := i.tool(ctx, "kubectl", "--namespace", i.Namespace, "get", "ecommercestack", i.Stack, "--output", "json")
		if err == nil {
			last = status{}
			if err := json.Unmarshal([]byte(out), &last); err != nil {
				return err
			}
			if last.ready(i.tag) {
				return nil
			}
			detail(last.Status.Phase)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("it is not Ready: %q; see `kubectl -n %s describe estack %s` and `kubectl -n %s get pods`: %w",
				last.Status.Phase, i.Namespace, i.Stack, i.Namespace, errors.Join(err, ctx.Err()))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// ready reports whether the stack is Ready at its generation with all services on tag:
// right after an upgrade the status may be that of the previous images.
func (s status) ready(tag string) bool {
	upgraded := 0
	for _, c := range s.Status.Components {
		if strings.HasSuffix(c.Image, ":"+tag) {
			upgraded++
		}
	}
	for _, c := range s.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return upgraded >= 4 && s.Status.ObservedGeneration == s.Metadata.Generation
		}
	}
	return false
}

func (i *installer) gateway(ctx context.Context, _ func(string)) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, gatewayTimeout, true, func(ctx context.Context) (bool, error) {
		last = client.CheckReady(ctx, i.URL+"/readyz")
		return last == nil, nil
	})
	return errors.Join(last, err)
}
