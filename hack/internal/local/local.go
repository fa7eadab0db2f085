// Package local runs the whole system as processes on this machine: a private
// MariaDB and RabbitMQ, and the four services with the accounts, permissions, keys
// and topology that the operator would give them. `make dev`, the fault tests and
// the bench start from here; there is no Kubernetes in it.
//
// The servers are reached through links that a test can cut, unless Options.Direct
// leaves them out.
package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

// Options of a system.
type Options struct {
	// Root of the source tree that the services are built from.
	Root string
	// GatewayAddr is where the gateway listens; a free port on loopback when empty.
	GatewayAddr string
	// MySQLFlags replace those of testenv, which wait for no disk.
	MySQLFlags []string
	// Direct leaves out the links: services connect to the servers themselves, and
	// Cut and Mend do nothing. A measurement wants no third party on the way.
	Direct bool
	// Env is added to the environment of every service.
	Env []string
	// Log takes progress, a line a step.
	Log io.Writer
}

// System is a running store.
type System struct {
	// URL of the gateway.
	URL string
	// ManagerEmail and ManagerPassword of the first manager.
	ManagerEmail, ManagerPassword string
	// MySQL and RabbitMQ are the servers, MySQLLink and BrokerLink what services
	// reach them through.
	MySQL                 *testenv.MySQLServer
	RabbitMQ              *testenv.RabbitMQServer
	MySQLLink, BrokerLink *Link
	// KeysFile is the JWK Set with the key that tokens are signed with.
	KeysFile string
	// Dir holds keys, binaries and logs; it goes with Stop.
	Dir string

	options   Options
	secrets   []string
	dsns      map[string]string   // of each account
	addresses map[string]string   // of each service
	metrics   map[string]string   // addresses, of each service that was started
	settings  map[string][]string // environment of each service
	mu        sync.Mutex
	running   map[string]*process
}

// vhost, as the operator would name it for stack demo in namespace shop.
const vhost = "shop.demo"

// Start builds and starts everything and waits until the store takes requests.
func Start(ctx context.Context, o Options) (*System, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	dir, err := os.MkdirTemp("", "ecommerce-local-")
	if err != nil {
		return nil, fmt.Errorf("make a directory: %w", err)
	}
	s := &System{Dir: dir, options: o, settings: map[string][]string{}, metrics: map[string]string{}, running: map[string]*process{},
		ManagerEmail: "manager@example.com", ManagerPassword: rand.Text()}
	for _, step := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"build the services", s.build},
		{"start MariaDB and RabbitMQ", s.startServers},
		{"make schemas, accounts and topology", s.provision},
		{"migrate", s.migrate},
		{"start the services", s.startServices},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", step.what, err), s.Stop())
		}
		fmt.Fprintf(o.Log, "%6.1fs  %s\n", time.Since(began).Seconds(), step.what)
	}
	return s, nil
}

func (s *System) startServers(ctx context.Context) error {
	var err error
	if s.MySQL, err = testenv.StartMySQL(ctx, s.options.MySQLFlags...); err != nil {
		return err
	}
	if s.RabbitMQ, err = testenv.StartRabbitMQ(ctx); err != nil {
		return err
	}
	broker := fmt.Sprintf("%s:%d", s.RabbitMQ.Info.Host, s.RabbitMQ.Info.Port)
	if s.options.Direct {
		s.MySQLLink, s.BrokerLink = &Link{Address: s.MySQL.Address}, &Link{Address: broker}
		return nil
	}
	if s.MySQLLink, err = newLink("mysql", s.MySQL.Address); err != nil {
		return err
	}
	s.BrokerLink, err = newLink("rabbitmq", broker)
	return err
}

func (s *System) startServices(ctx context.Context) error {
	for _, name := range []string{"auth", "stock", "sales", "gateway"} {
		if err := s.StartService(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"auth", "stock", "sales", "gateway"} {
		if err := s.ready(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// names of a service and its replicas that run.
func (s *System) names(service string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name := range s.running {
		if program(name) == service {
			names = append(names, name)
		}
	}
	return names
}

// ServiceURL is where a service or replica answers by itself.
func (s *System) ServiceURL(name string) string { return "http://" + s.address(name) }

// MetricsURL is where a service or replica answers /metrics, and /debug/pprof/ with
// PROFILING=true in Options.Env.
func (s *System) MetricsURL(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return "http://" + s.metrics[name]
}

// LogFile of a service.
func (s *System) LogFile(service string) string { return filepath.Join(s.Dir, service+".log") }

// Stop ends everything and removes what it left.
func (s *System) Stop() error {
	var errs []error
	for _, service := range []string{"gateway", "sales", "stock", "auth"} {
		for _, name := range s.names(service) {
			errs = append(errs, s.StopService(name))
		}
	}
	for _, link := range []*Link{s.MySQLLink, s.BrokerLink} {
		if link != nil {
			link.Cut()
		}
	}
	if s.RabbitMQ != nil {
		s.RabbitMQ.Stop()
	}
	if s.MySQL != nil {
		s.MySQL.Stop()
	}
	return errors.Join(append(errs, os.RemoveAll(s.Dir))...)
}
