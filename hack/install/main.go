// Command install installs a store in the cluster that `go run ./hack/cluster up` started,
// with the images that `go run ./hack/image` built: it loads them, installs the operator's chart,
// applies the sample stack, and waits until the stack is Ready with these images and the
// gateway responds. It can be repeated, and upgrades an existing installation: what has not
// changed is not rolled out again.
//
//	go run ./hack/install
//	go run ./hack/install --only stock
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/images"
	"ecommerce-stack.dev/hack/internal/kube"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

const (
	operatorNamespace = "ecommerce-system"
	release           = "ecommerce"
	operatorName      = "operator" // of its image, and in --only
	exporterName      = "mysqld-exporter"
	gatewayTimeout    = time.Minute
)

// services have an image each in the stack.
var services = []string{"auth", "sales", "stock", "gateway"}

type options struct {
	Stack     string   `help:"Name of the stack." default:"demo"`
	Namespace string   `help:"Namespace of the stack." default:"shop"`
	URL       string   `help:"URL of the gateway; that of the cluster by default." env:"GATEWAY_URL"`
	Only      []string `help:"Roll out only these of an installed store: auth, sales, stock, gateway, operator or mysqld-exporter." placeholder:"NAME"`
}

// Validate is called by kong.
func (o options) Validate() error {
	for _, name := range o.Only {
		if name != operatorName && name != exporterName && !slices.Contains(services, name) {
			return fmt.Errorf("--only %s: it must be %s, %s or one of %v", name, operatorName, exporterName, services)
		}
	}
	return nil
}

// includes reports whether an image is rolled out.
func (o options) includes(name string) bool { return len(o.Only) == 0 || slices.Contains(o.Only, name) }

// hasOperator reports whether the operator's chart is installed, which has the exporter's image.
func (o options) hasOperator() bool { return o.includes(operatorName) || o.includes(exporterName) }

// services returns those that are rolled out.
func (o options) services() []string {
	return slices.DeleteFunc(slices.Clone(services), func(name string) bool { return !o.includes(name) })
}

// installer runs the steps of the installation.
type installer struct {
	options
	progress *progress.Printer
	cluster  *kube.Cluster
	core     kubernetes.Interface
	dynamic  dynamic.Interface
	images   images.List
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

type step struct {
	what string
	do   func(context.Context, func(string)) error
}

func run(ctx context.Context, o options) error {
	i := &installer{options: o, progress: progress.New(os.Stderr)}
	if err := i.load(ctx); err != nil {
		return fmt.Errorf("load the images: %w", err)
	}
	if o.hasOperator() {
		if err := i.run(ctx, step{"install the operator", i.operator}); err != nil {
			return err
		}
	}
	if len(o.services()) == 0 {
		return nil
	}
	stack := o.Namespace + "/" + o.Stack
	apply := step{"apply config/samples/stack.yaml", i.sample}
	if len(o.Only) > 0 {
		apply = step{"set the images of stack " + stack, i.setImages}
	}
	return i.run(ctx, apply,
		step{"wait until stack " + stack + " is Ready", i.ready},
		step{"wait until the gateway responds at " + i.URL, i.gateway})
}

func (i *installer) run(ctx context.Context, steps ...step) error {
	for _, s := range steps {
		if err := i.progress.Run(s.what, func(detail func(string)) error { return s.do(ctx, detail) }); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
	}
	return nil
}

// load finds the cluster and loads the images that it does not have.
func (i *installer) load(ctx context.Context) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	if i.images, err = images.Read(images.Dir(root)); err != nil {
		return err
	}
	names := i.services()
	if i.hasOperator() {
		names = append(names, operatorName, exporterName)
	}
	var archives []string
	for _, name := range names {
		if _, err := i.images.Reference(name); err != nil {
			return err
		}
		archives = append(archives, filepath.Join(images.Dir(root), name+".tar"))
	}
	if i.cluster, err = kube.Load(ctx, archives...); err != nil {
		return err
	}
	i.URL = cmp.Or(i.URL, i.cluster.URL)
	config, err := clientcmd.BuildConfigFromFlags("", i.cluster.Kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig %s: %w", i.cluster.Kubeconfig, err)
	}
	config.QPS = -1 // the waits poll
	i.core, err = kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	i.dynamic, err = dynamic.NewForConfig(config)
	return err
}

func (i *installer) gateway(ctx context.Context, _ func(string)) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, gatewayTimeout, true, func(ctx context.Context) (bool, error) {
		last = client.CheckReady(ctx, i.URL+"/readyz")
		return last == nil, nil
	})
	return errors.Join(last, err)
}
