package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/services/event"
)

// store is a running store with two replicas of each service. Every process connects to the
// servers and to other services through edges, which faults change.
type store struct {
	*local.System
	replicas []string
	edges    map[string]*edge    // by names such as "sales-2→mysql"
	commits  map[string]*commits // of the edges to the database
	env      map[string][]string // of each process
	extra    []string            // of all processes of sales and stock
	rounds   int
	checked  atomic.Int64 // sales

	mu     sync.Mutex
	poison map[string]bool // ids of poison messages, and whether they must become dead letters
}

// Settings of the services: short times, so that a round includes the expiry of holds and the
// repetition of commands, and no limits of rates.
var settings = []string{"RATE_LIMIT_RPS=0", "LOGIN_RATE_PER_MINUTE=0", "BCRYPT_COST=4", "HOLD_TTL=3s", "AUDIT_INTERVAL=5s"}

// reconcileAfter returns the time after which commands are repeated. With a larger load the queues are longer after a fault,
// and repeated commands would fill them with copies.
func reconcileAfter(scale int) time.Duration {
	return max(time.Second, time.Duration(scale)*time.Second/4)
}

// databaseFlags make the database durable against a kill of its process, as in production. galeraFlags and
// groupFlags are those of a node of a cluster, which then reads what others have committed.
var (
	databaseFlags = []string{"--innodb-flush-log-at-trx-commit=1"}
	galeraFlags   = append(slices.Clone(databaseFlags), "--wsrep-sync-wait=7")
	groupFlags    = append(slices.Clone(databaseFlags), "--sync-binlog=1", "--group-replication-consistency=BEFORE_ON_PRIMARY_FAILOVER")
)

// clusters are the databases of --database that are clusters, with the flags of their nodes.
var clusters = map[string][]string{"galera": galeraFlags, "galera-all": galeraFlags, "group": groupFlags}

// names of the servers in targets of faults and edges.
const (
	mysqlServer = "mysql"
	brokerName  = "rabbitmq"
)

// startStore starts a store from the sources at root, with the database and the load of some options. buildFlags are added
// to the build.
func startStore(ctx context.Context, root string, with options, buildFlags []string, p *progress.Printer) (*store, error) {
	// A server inherits it, so that a write beyond the limit of limitFileSize fails and does not end the
	// server.
	signal.Ignore(unix.SIGXFSZ)
	o := local.Options{Root: root, Direct: true, MySQLFlags: append(spaceFlags, databaseFlags...), BuildFlags: buildFlags, Progress: p}
	o.Env = append(slices.Clone(settings), "RECONCILE_AFTER="+reconcileAfter(with.Scale).String())
	if flags, ok := clusters[with.Database]; ok {
		o.Cluster, o.MySQLFlags = with.Database, flags
	}
	o.MySQLFlags = append(slices.Clone(o.MySQLFlags), with.DatabaseFlags...)
	system, err := local.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &store{System: system, edges: map[string]*edge{}, commits: map[string]*commits{}, env: map[string][]string{}, poison: map[string]bool{}}
	start := func(func(string)) error { return s.startReplicas(ctx) }
	if p == nil {
		err = start(nil)
	} else {
		err = p.Run("Start two replicas of each service", start)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// startReplicas starts a second replica of each service, and restarts the first one with its
// edges. The gateways are last, because their edges lead to the others.
func (s *store) startReplicas(ctx context.Context) error {
	for _, service := range local.Services {
		for _, name := range []string{service, service + "-2"} {
			if err := s.connect(name); err != nil {
				return err
			}
			if name != service {
				if _, err := s.Replica(ctx, service); err != nil {
					return err
				}
			} else {
				if err := s.StopService(name); err != nil {
					return err
				}
				if err := s.Restart(ctx, name); err != nil {
					return err
				}
			}
			s.replicas = append(s.replicas, name)
		}
	}
	return nil
}

// connect creates the edges of a process and configures it to use them.
func (s *store) connect(name string) error {
	service, replica := serviceOf(name), strings.TrimPrefix(name, serviceOf(name))
	upstream := map[string]string{mysqlServer: s.MySQLLink.Address, brokerName: s.BrokerLink.Address}
	variables := map[string]string{mysqlServer: "MYSQL_DSN", brokerName: "AMQP_URL"}
	if service == "gateway" {
		for _, to := range []string{"auth", "sales", "stock"} {
			address, err := url.Parse(s.ServiceURL(to + replica))
			if err != nil {
				return err
			}
			upstream[to], variables[to] = address.Host, strings.ToUpper(to)+"_URL"
		}
	}
	for to, variable := range variables {
		value := s.Setting(service, variable)
		if value == "" {
			continue // auth has no broker, and gateways have no database.
		}
		current, target := upstream[to], upstream[to]
		if to == mysqlServer {
			c, err := newCommits(target)
			if err != nil {
				return err
			}
			s.commits[name+"→"+to] = c
			target = c.address()
		}
		e, err := newEdge(name+"→"+to, target)
		if err != nil {
			return err
		}
		s.edges[e.name] = e
		if service == "gateway" && to != brokerName {
			value = "http://" + current
		}
		s.env[name] = append(s.env[name], variable+"="+strings.Replace(value, current, e.address(), 1))
	}
	s.env[name] = append(s.env[name], "CHAOS_FAILPOINT="+s.failpointFile(name), "CHAOS_CLOCK="+s.clockFile(name))
	s.configure(name)
	return nil
}

// configure sets the environment of the next start of a process.
func (s *store) configure(name string) {
	s.Configure(name, slices.Concat(s.env[name], s.extra)...)
}

// Stop stops the store and its edges.
func (s *store) Stop() error {
	err := s.System.Stop()
	for _, e := range s.edges {
		e.proxy.Stop()
	}
	for _, c := range s.commits {
		c.stop()
	}
	return err
}

// saveLogs copies the logs of the services to a folder.
func (s *store) saveLogs(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	var errs []error
	for _, name := range s.replicas {
		content, err := os.ReadFile(s.LogFile(name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name+".log"), content, 0o600)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("save the logs: %w", err)
	}
	return nil
}

// serviceOf returns the service of a process's name.
func serviceOf(name string) string {
	service, _, _ := strings.Cut(name, "-")
	return service
}

// reset builds sales and stock with an overlay, deletes the sales, products and messages of
// earlier rounds, and restarts the processes with additional variables.
func (s *store) reset(ctx context.Context, db *sql.DB, overlay string, env []string) error {
	replicas := prefixed(s.replicas, "sales", "stock")
	for _, name := range replicas {
		s.Kill(name)
	}
	if err := s.Build(ctx, []string{overlay}, "sales", "stock"); err != nil {
		return err
	}
	for schema, tables := range map[string][]string{
		salesSchema: {"sales", "timeline", "requests", "outbox", "dead_letters"},
		stockSchema: {"stocks", "movements", "reservations", "requests", "outbox", "audit_checkpoints"},
	} {
		for _, table := range tables {
			if _, err := db.ExecContext(ctx, "DELETE FROM "+schema+"."+table); err != nil {
				return fmt.Errorf("delete the rows of earlier rounds: %w", err)
			}
		}
	}
	management, err := s.RabbitMQ.Info.Management()
	if err != nil {
		return err
	}
	for _, q := range event.Queues {
		for _, name := range []string{q.Name, q.DeadLetterQueue()} {
			if err := discard(management.PurgeQueue(local.VHost, name)); err != nil {
				return fmt.Errorf("purge %s: %w", name, err)
			}
		}
	}
	clear(s.poison)
	s.extra = env
	for _, name := range replicas {
		s.configure(name)
		if err := s.StartService(name); err != nil {
			return err
		}
	}
	for _, name := range replicas {
		if err := s.WaitUntilReady(ctx, name); err != nil {
			return err
		}
	}
	return nil
}
