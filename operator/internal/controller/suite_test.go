package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	webhookv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// testResync is short, so that a test observes many reconciliations.
const testResync = 2 * time.Second

// ignoredLabel is the label of stacks that the suite's operator ignores.
const ignoredLabel = "ignored-by-suite"

var notIgnored = func() labels.Selector {
	absent, err := labels.NewRequirement(ignoredLabel, selection.DoesNotExist, nil)
	if err != nil {
		panic(err)
	}
	return labels.NewSelector().Add(*absent)
}()

// The suite runs one API server and one operator. Each test has its own namespace, schema
// prefix and virtual host.
var (
	apiServer *rest.Config
	api       client.Client
	writes    = &writeCounter{count: map[string]int{}}
	redirects = &dialer{}
	// logName is the file with the operator's log.
	logName string
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(m.Run())
	}
	code, err := withSuite(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, "operator tests:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func withSuite(run func() int) (code int, err error) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return 1, fmt.Errorf("KUBEBUILDER_ASSETS is not set: run `make assets`, and set it to the folder that it prints " +
			"(or run with -short, without the tests that need an API server)")
	}
	logFile, err := os.CreateTemp("", "operator-test-*.log")
	if err != nil {
		return 1, err
	}
	logName = logFile.Name()
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewJSONHandler(logFile, &slog.HandlerOptions{Level: slog.LevelDebug - 6})))
	environment := &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "config", "crd")},
		ErrorIfCRDPathMissing: true,
	}
	if apiServer, err = environment.Start(); err != nil {
		return 1, errors.Join(fmt.Errorf("start the API server: %w", err), environment.Stop())
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error, 1)
	defer func() {
		cancel()
		err = firstError(err, <-stopped, environment.Stop())
	}()
	if err = startOperator(ctx, stopped); err != nil {
		stopped <- nil
		return 1, err
	}
	code = run()
	if code != 0 {
		fmt.Fprintln(os.Stderr, "the operator's log is in", logFile.Name())
		return code, nil
	}
	return code, os.Remove(logFile.Name())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func startOperator(ctx context.Context, stopped chan<- error) error {
	scheme, err := NewScheme()
	if err != nil {
		return err
	}
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, eventsv1.AddToScheme, networkingv1.AddToScheme, storagev1.AddToScheme, webhookv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if api, err = client.New(apiServer, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	counted := rest.CopyConfig(apiServer)
	counted.Wrap(writes.wrap)
	cached := CacheOptions(nil)
	cached.ByObject = map[client.Object]cache.ByObject{&v1alpha1.ECommerceStack{}: {Label: notIgnored}}
	manager, err := ctrl.NewManager(counted, ctrl.Options{
		Scheme: scheme, Cache: cached, Client: ClientOptions(),
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return err
	}
	if err := SetupWithManager(manager, testOptions()); err != nil {
		return err
	}
	go func() { stopped <- manager.Start(ctx) }()
	return nil
}

func testOptions() Options {
	return Options{
		ImageRegistry: "localhost/ecommerce-stack", ImageTag: "test", MySQLImage: "mysql:8.4", MySQLExporterImage: "prom/mysqld-exporter:v0.19.0",
		RabbitMQImage: "rabbitmq:4.1-management", Resync: testResync, Dial: redirects.dial,
		MonitoringLabels: map[string]string{"release": "prometheus"},
	}
}

// writeCounter counts the operator's write requests by namespace.
type writeCounter struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *writeCounter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if request.Method != http.MethodGet {
			c.mu.Lock()
			_, rest, _ := strings.Cut(request.URL.Path, "/namespaces/")
			namespace, _, _ := strings.Cut(rest, "/")
			c.count[namespace]++
			c.mu.Unlock()
		}
		return next.RoundTrip(request)
	})
}

func (c *writeCounter) of(namespace string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count[namespace]
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
