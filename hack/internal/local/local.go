// Package local runs the whole system without Kubernetes, as processes on this
// machine: a private MariaDB (or MySQL, see testenv) and RabbitMQ, and the four services with the accounts,
// permissions, keys and topology that the operator would configure. `make dev`, the
// fault tests and the benchmarks use it.
//
// The services connect to the servers through links that a test can interrupt,
// unless Options.Direct is set.
package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	proc "ecommerce-stack.dev/hack/internal/process"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/testenv"
)

// Options are the options of Start.
type Options struct {
	// Root is the root of the source tree that the services are built from.
	Root string
	// StateDir is a folder that keeps the data, accounts and keys for the next start. The
	// default is a temporary folder, which Stop removes. Only one system may use a folder.
	StateDir string
	// GatewayAddr is the address that the gateway listens on; the default is a free
	// port on loopback.
	GatewayAddr string
	// MySQLFlags replace the flags of testenv, which do not sync to disk.
	MySQLFlags []string
	// Cluster makes the services use a cluster instead of one server: "galera" uses one of its nodes as long
	// as that is available, "galera-all" all in turn, and "group" the primary member of a group of MySQL.
	// MySQLFlags are those of every node.
	Cluster string
	// Direct makes the services connect to the servers without links, so that
	// measurements do not include a proxy. Disconnect and Reconnect do nothing.
	Direct bool
	// Env is added to the environment of every service.
	Env []string
	// BuildFlags are added to `go build`, such as -overlay.
	BuildFlags []string
	// Combine builds services that are built together as one program, which takes less time. BuildFlags must then
	// have no -overlay.
	Combine bool
	// Progress prints the steps of Start; the default is none.
	Progress *progress.Printer
}

// System is a running system.
type System struct {
	// URL is the URL of the gateway.
	URL string
	// ManagerEmail and ManagerPassword are the credentials of the first manager.
	ManagerEmail, ManagerPassword string
	// MySQL and RabbitMQ are the servers, MySQLLink and BrokerLink the links that
	// the services connect through.
	MySQL *testenv.MySQLServer
	// Cluster and Balancer are set instead of MySQL with Options.Cluster.
	Cluster               *testenv.Cluster
	Balancer              *testenv.Balancer
	RabbitMQ              *testenv.RabbitMQServer
	MySQLLink, BrokerLink *Link
	// KeysFile is the path of the JWK Set that verifies tokens.
	KeysFile string
	// Dir is the folder of keys, binaries and logs: Options.StateDir, or one that Stop removes.
	Dir string

	options   Options
	secrets   []string
	dsns      map[string]string   // of each account
	addresses map[string]string   // of each service
	metrics   map[string]string   // addresses, of each service that was started
	settings  map[string][]string // environment of each service
	added     map[string][]string // environment of Configure
	mu        sync.Mutex
	running   map[string]*process
	recorded  []proc.ID
}

// VHost is the name that the operator gives the virtual host of the stack demo in
// the namespace shop.
const VHost = "shop.demo"

// Start builds the services, starts the servers and services, and returns when all
// services are ready. After an error nothing is left running.
func Start(ctx context.Context, o Options) (*System, error) {
	// The files of the checkout have absolute paths.
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, fmt.Errorf("find the source tree: %w", err)
	}
	o.Root = root
	dir, err := o.dir()
	if err != nil {
		return nil, fmt.Errorf("create a directory: %w", err)
	}
	s := &System{Dir: dir, options: o, settings: map[string][]string{}, added: map[string][]string{}, metrics: map[string]string{}, running: map[string]*process{},
		ManagerEmail: "manager@example.com"}
	for _, step := range []struct {
		what string
		do   func(ctx context.Context, detail func(string)) error
	}{
		{"Build the services", s.build},
		{"Start the database and RabbitMQ", s.startServers},
		{"Create schemas, accounts and topology", s.provision},
		{"Migrate the schemas", s.migrate},
		{"Start the services", s.startServices},
	} {
		if err := o.run(step.what, func(detail func(string)) error { return step.do(ctx, detail) }); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", step.what, err), s.Stop())
		}
	}
	return s, nil
}

// run runs a step of Start.
func (o Options) run(what string, do func(detail func(string)) error) error {
	if o.Progress == nil {
		return do(func(string) {})
	}
	return o.Progress.Run(what, do)
}

// dir returns StateDir without the programs and logs of the last start, or a new folder.
func (o Options) dir() (string, error) {
	if o.StateDir == "" {
		return os.MkdirTemp("", "ecommerce-local-")
	}
	old, err := filepath.Glob(filepath.Join(o.StateDir, "*.log"))
	for _, file := range append(old, filepath.Join(o.StateDir, binaries), filepath.Join(o.StateDir, newBinaries)) {
		err = errors.Join(err, os.RemoveAll(file))
	}
	return o.StateDir, errors.Join(err, os.MkdirAll(o.StateDir, 0o700))
}

// startServers starts both servers at the same time.
func (s *System) startServers(ctx context.Context, _ func(string)) error {
	if err := StopRecorded(s.Dir); err != nil {
		return err
	}
	var mysqlErr, rabbitErr error
	var wg sync.WaitGroup
	wg.Go(func() {
		mysqlErr = s.startDatabase(ctx)
	})
	wg.Go(func() {
		if s.options.StateDir != "" {
			s.RabbitMQ, rabbitErr = testenv.OpenRabbitMQ(ctx, filepath.Join(s.Dir, "rabbitmq"))
		} else {
			s.RabbitMQ, rabbitErr = testenv.StartRabbitMQ(ctx)
		}
	})
	wg.Wait()
	if err := errors.Join(mysqlErr, rabbitErr); err != nil {
		return err
	}
	pids := []int{s.RabbitMQ.PID, s.RabbitMQ.MapperPID}
	for _, server := range s.databases() {
		pids = append(pids, server.PID)
	}
	if err := s.record(pids...); err != nil {
		return err
	}
	var err error
	_, database := s.Database()
	broker := fmt.Sprintf("%s:%d", s.RabbitMQ.Info.Host, s.RabbitMQ.Info.Port)
	if s.options.Direct {
		s.MySQLLink, s.BrokerLink = &Link{Address: database}, &Link{Address: broker}
		return nil
	}
	if s.MySQLLink, err = newLink("mysql", database); err != nil {
		return err
	}
	s.BrokerLink, err = newLink("rabbitmq", broker)
	return err
}

// startDatabase starts the server or the cluster.
func (s *System) startDatabase(ctx context.Context) (err error) {
	switch {
	case s.options.Cluster != "":
		s.Cluster, s.Balancer, err = testenv.StartCluster(ctx, s.options.Cluster, s.options.MySQLFlags...)
	case s.options.StateDir != "":
		s.MySQL, err = testenv.OpenMySQL(ctx, filepath.Join(s.Dir, "mysql"))
	default:
		s.MySQL, err = testenv.StartMySQL(ctx, s.options.MySQLFlags...)
	}
	return err
}

// databases returns the servers of the database.
func (s *System) databases() []*testenv.MySQLServer {
	switch {
	case s.Cluster != nil:
		return s.Cluster.Nodes
	case s.MySQL != nil:
		return []*testenv.MySQLServer{s.MySQL}
	}
	return nil
}

// Database returns the DSN of the administrator of the server or the cluster, and its address.
func (s *System) Database() (dsn, address string) {
	if s.Balancer != nil {
		return s.Balancer.DSN, s.Balancer.Address
	}
	return s.MySQL.DSN, s.MySQL.Address
}

func (s *System) startServices(ctx context.Context, detail func(string)) error {
	for _, name := range Services {
		if err := s.StartService(name); err != nil {
			return err
		}
	}
	for _, name := range Services {
		detail("waiting for " + name)
		if err := s.WaitUntilReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// runningReplicas returns the names of the running processes of a service.
func (s *System) runningReplicas(service string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var runningReplicas []string
	for name := range s.running {
		if serviceOf(name) == service {
			runningReplicas = append(runningReplicas, name)
		}
	}
	return runningReplicas
}

// ServiceURL returns the base URL of a service or replica, which bypasses the
// gateway.
func (s *System) ServiceURL(name string) string { return "http://" + s.address(name) }

// MetricsURL returns the base URL of the /metrics endpoint of a service or replica.
// With PROFILING=true in Options.Env it also serves /debug/pprof/.
func (s *System) MetricsURL(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.metrics[name]
}

// LogFile returns the path of a service's log.
func (s *System) LogFile(service string) string { return filepath.Join(s.Dir, service+".log") }

// Stop stops the services and servers, and removes Dir unless it is Options.StateDir.
func (s *System) Stop() error {
	var errs []error
	for _, service := range []string{"gateway", "sales", "stock", "auth"} {
		for _, name := range s.runningReplicas(service) {
			errs = append(errs, s.StopService(name))
		}
	}
	for _, link := range []*Link{s.MySQLLink, s.BrokerLink} {
		if link != nil {
			link.Disconnect()
		}
	}
	if s.RabbitMQ != nil {
		s.RabbitMQ.Stop()
	}
	if s.Balancer != nil {
		s.Balancer.Stop()
	}
	for _, server := range s.databases() {
		server.Stop()
	}
	if s.options.StateDir == "" {
		errs = append(errs, os.RemoveAll(s.Dir))
	}
	return errors.Join(errs...)
}
