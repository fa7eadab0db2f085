// Command operator runs the controller that reconciles ECommerceStack resources.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"ecommerce-stack.dev/operator/internal/controller"
	"ecommerce-stack.dev/services/loglevel"
)

// version and commit are set by the linker.
var (
	version = "dev"
	commit  = "unknown"
)

// settings are the command-line flags. Environment variables can set them, too.
type settings struct {
	ImageRegistry      string            `env:"IMAGE_REGISTRY" default:"localhost/ecommerce-stack" help:"Registry and path of the services' images, for stacks that set none."`
	ImageTag           string            `env:"IMAGE_TAG" default:"${version}" help:"Tag of the services' images, for stacks that set none."`
	MySQLImage         string            `name:"mysql-image" env:"MYSQL_IMAGE" default:"mysql:8.4" help:"Image of embedded MySQL servers, for stacks that set none."`
	MySQLExporterImage string            `name:"mysql-exporter-image" env:"MYSQL_EXPORTER_IMAGE" default:"prom/mysqld-exporter:v0.19.0" help:"Image of mysqld_exporter, for stacks that set none."`
	RabbitMQImage      string            `name:"rabbitmq-image" env:"RABBITMQ_IMAGE" default:"rabbitmq:4.1-management" help:"Image of embedded RabbitMQ brokers, for stacks that set none."`
	WatchNamespaces    []string          `env:"WATCH_NAMESPACES" help:"Namespaces whose stacks are reconciled. Default: all."`
	Resync             time.Duration     `env:"RESYNC" default:"1m" help:"Interval at which external state is observed and corrected, at least 1s."`
	MetricsAddr        string            `env:"METRICS_ADDR" default:":9090" help:"Address of /metrics; 0 disables it."`
	HealthAddr         string            `env:"HEALTH_ADDR" default:":8081" help:"Address of /healthz and /readyz."`
	LeaderElect        bool              `env:"LEADER_ELECT" help:"Reconcile only while holding the leader election lease."`
	LeaderLease        string            `env:"LEADER_LEASE" default:"ecommerce-operator" help:"Name of the lease, in namespace POD_NAMESPACE."`
	Namespace          string            `env:"POD_NAMESPACE" hidden:"" help:"Namespace of the operator."`
	OptionalObjects    []string          `env:"OPTIONAL_OBJECTS" help:"ConfigMaps in namespace POD_NAMESPACE, each with the object to apply once its kind is served (object.yaml)."`
	MonitoringLabels   map[string]string `env:"MONITORING_LABELS" help:"Labels of the PodMonitors of stacks, by which a Prometheus selects them."`
	LogLevel           slog.Level        `env:"LOG_LEVEL" default:"INFO" help:"Log level: debug, info, warn or error. PUT /log-level at the metrics address changes it while the operator runs."`
	Version            kong.VersionFlag  `help:"Print the version and exit."`
}

// Validate is called by kong after parsing.
func (s settings) Validate() error {
	if s.Resync < time.Second {
		return fmt.Errorf("--resync=%s: must be at least 1s", s.Resync)
	}
	return nil
}

func main() {
	var s settings
	kong.Parse(&s, kong.Name("operator"), kong.Description("Reconciles ECommerceStack resources."),
		kong.Vars{"version": version})
	level := new(slog.LevelVar)
	level.Set(s.LogLevel)
	log := slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: level})).
		With("service", "operator", "version", version, "commit", commit)
	ctrl.SetLogger(logr.FromSlogHandler(log.Handler()))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log.Info("starting")
	if err := run(ctx, s, metricsOptions(s.MetricsAddr, level, log)); err != nil {
		log.Error("stopped", "error", err.Error())
		os.Exit(1) //nolint:gocritic // stop has nothing left to do
	}
}

// metricsOptions returns the options of the server of the metrics, which also changes the level of
// log.
func metricsOptions(address string, level *slog.LevelVar, log *slog.Logger) server.Options {
	return server.Options{
		BindAddress:   address,
		ExtraHandlers: map[string]http.Handler{loglevel.Path: loglevel.Handler(level, log)},
	}
}

func run(ctx context.Context, s settings, metrics server.Options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster: %w", err)
	}
	scheme, err := controller.NewScheme()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         controller.CacheOptions(s.WatchNamespaces),
		Client:                        controller.ClientOptions(),
		Metrics:                       metrics,
		HealthProbeBindAddress:        s.HealthAddr,
		LeaderElection:                s.LeaderElect,
		LeaderElectionID:              s.LeaderLease,
		LeaderElectionNamespace:       s.Namespace,
		LeaderElectionReleaseOnCancel: true,
	})
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	if err := manager.AddHealthzCheck("process", healthz.Ping); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("process", healthz.Ping); err != nil {
		return err
	}
	if err := controller.SetupWithManager(manager, controller.Options{
		ImageRegistry: s.ImageRegistry, ImageTag: s.ImageTag,
		MySQLImage: s.MySQLImage, MySQLExporterImage: s.MySQLExporterImage, RabbitMQImage: s.RabbitMQImage, Resync: s.Resync,
		MonitoringLabels: s.MonitoringLabels, Namespace: s.Namespace, OptionalObjects: s.OptionalObjects,
	}); err != nil {
		return err
	}
	return manager.Start(ctx)
}
