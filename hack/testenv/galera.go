package testenv

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-sql-driver/mysql"
)

// galeraNodes is the smallest number of nodes of which a majority remains without any one.
const galeraNodes = 3

// galeraProvider is the library that replicates, and galeraPackages the Debian packages with it, with the
// scripts that copy the data to a new node, and with the program that they run.
const (
	galeraProvider = "/usr/lib/galera/libgalera_smm.so"
	galeraPackages = "galera-4 mariadb-server mariadb-backup"
)

// Cluster is a private cluster of three nodes: of MariaDB with Galera, each of which accepts writes, or of MySQL
// with group replication, of which the primary member does. Only this process can connect to the nodes, because
// each has its own network, and only root can start them. Others connect through a [Balancer].
type Cluster struct {
	// Nodes are the nodes. Their administrators have the same password.
	Nodes []*MySQLServer

	password string
	network  network // of the nodes, in their order
	status   func(context.Context, *MySQLServer) (nodeStatus, error)
	// recover starts nodes that have ended.
	recover func(context.Context, []*MySQLServer) error
}

// Names of clusters.
const (
	oneOfGalera    = "galera"
	allOfGalera    = "galera-all"
	clusterOfMySQL = "group"
)

// StartCluster starts a cluster with additional flags of every node, and a balancer in front of it: "galera" is one of
// MariaDB of which one node is used, "galera-all" one of which all are used, and "group" one of the MySQL of MYSQLD.
func StartCluster(ctx context.Context, name string, flags ...string) (*Cluster, *Balancer, error) {
	var c *Cluster
	var err error
	switch name {
	case oneOfGalera, allOfGalera:
		c, err = StartGalera(ctx, flags...)
	case clusterOfMySQL:
		c, err = StartGroup(ctx, flags...)
	default:
		err = fmt.Errorf("the cluster is %q, but must be %s, %s or %s", name, oneOfGalera, allOfGalera, clusterOfMySQL)
	}
	if err != nil {
		return nil, nil, err
	}
	b, err := c.Balance(name == allOfGalera)
	if err != nil {
		c.Stop()
		return nil, nil, err
	}
	return c, b, nil
}

// nodeStatus is the state of a node as it sees itself.
type nodeStatus struct {
	synced  bool // The node has received the transactions of the others.
	accepts bool // The node accepts writes.
	size    int  // the number of nodes that it is connected with
}

// StartGalera starts a cluster with additional flags of every node. Without flags the nodes do not sync to
// disk.
func StartGalera(ctx context.Context, flags ...string) (*Cluster, error) {
	c := &Cluster{password: rand.Text(), status: galeraStatus}
	c.recover = c.join
	if err := c.start(ctx, flags); err != nil {
		c.Stop()
		return nil, fmt.Errorf("start a Galera cluster: %w", err)
	}
	return c, nil
}

// newNodes returns nodes that are configured and connected with each other, but not started.
func (c *Cluster) newNodes(ctx context.Context, p program, what string, flags []string) error {
	var err error
	if c.network, err = newNetwork(ctx, galeraNodes); err != nil {
		return err
	}
	for _, ns := range c.network {
		dir, err := newDir(what)
		if err != nil {
			return err
		}
		s := &MySQLServer{dir: dir, namespace: ns}
		c.Nodes = append(c.Nodes, s)
		if err := s.configure(p, c.password, flags); err != nil {
			return err
		}
		mysql.RegisterDialContext(s.protocol(), ns.dial)
	}
	return nil
}

func (c *Cluster) start(ctx context.Context, flags []string) error {
	p, err := findMariaDB()
	if err != nil {
		return err
	}
	if _, err := os.Stat(galeraProvider); err != nil {
		return fmt.Errorf("find Galera: %w: run `make deps`, or as root `apt-get install %s`", err, galeraPackages)
	}
	for _, script := range []string{"wsrep_sst_mariabackup", "mariabackup"} {
		if _, err := find(galeraPackages, script); err != nil {
			return err
		}
	}
	if err := c.newNodes(ctx, p, "galera", flags); err != nil {
		return err
	}
	var addresses []string
	for i := range c.Nodes {
		addresses = append(addresses, nodeAddress(i))
	}
	for i, s := range c.Nodes {
		// Other users of the machine can read the arguments of a process.
		secrets := filepath.Join(s.dir, "secrets.cnf")
		if err := os.WriteFile(secrets, []byte("[mysqld]\nwsrep_sst_auth=root:"+c.password+"\n"), 0o600); err != nil {
			return err
		}
		s.base[0] = "--defaults-file=" + secrets // instead of --no-defaults
		s.args = append(s.args, "--wsrep-on=ON", "--wsrep-provider="+galeraProvider, "--wsrep-cluster-name=testenv",
			"--wsrep-cluster-address=gcomm://"+strings.Join(addresses, ","), "--wsrep-node-name=node-"+strconv.Itoa(i+1), "--wsrep-node-address="+addresses[i],
			"--wsrep-sst-method=mariabackup", "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2")
		s.next = func(ctx context.Context) ([]string, error) { return startPosition(ctx, s) }
		s.ready = func(ctx context.Context) error { return c.checkSynced(ctx, s) }
	}
	if err := c.bootstrap(ctx, p); err != nil {
		return err
	}
	return c.join(ctx, c.Nodes[1:])
}

// bootstrap starts the first node, which the others join.
func (c *Cluster) bootstrap(ctx context.Context, p program) error {
	first := c.Nodes[0]
	if err := first.initialize(ctx, p); err != nil {
		return err
	}
	initFile, err := first.writeInitFile(c.password)
	if err != nil {
		return err
	}
	next := first.next
	first.next = func(context.Context) ([]string, error) { return []string{"--wsrep-new-cluster", initFile}, nil }
	defer func() { first.next = next }()
	return first.Restart(ctx)
}

// join starts nodes at the same time: after the end of all nodes of Galera none accepts statements before it
// has met the others.
func (c *Cluster) join(ctx context.Context, nodes []*MySQLServer) error {
	failed := make([]error, len(nodes))
	var starting sync.WaitGroup
	for i, s := range nodes {
		starting.Go(func() {
			if failed[i] = os.MkdirAll(s.data(), 0o700); failed[i] == nil {
				failed[i] = s.Restart(ctx)
			}
		})
	}
	starting.Wait()
	return errors.Join(failed...)
}

// Recover starts the nodes again that have ended, also after the end of all of them.
func (c *Cluster) Recover(ctx context.Context) error {
	return c.recover(ctx, slices.DeleteFunc(slices.Clone(c.Nodes), func(s *MySQLServer) bool { return !s.HasEnded() }))
}

// startPosition returns the argument with the last transaction in the data of a node, as the unit of
// systemd determines it. With it a killed node receives only what it has missed.
func startPosition(ctx context.Context, s *MySQLServer) ([]string, error) {
	if _, err := os.Stat(filepath.Join(s.data(), "ibdata1")); err != nil {
		return nil, nil //nolint:nilerr // A new node has no data.
	}
	cmd := exec.CommandContext(ctx, s.program, slices.Concat(s.base, s.args, []string{"--wsrep-recover", "--log-error-verbosity=3"})...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("recover the position of a node: %w\n%s", err, out)
	}
	_, position, found := bytes.Cut(out, []byte("Recovered position: "))
	if !found {
		return nil, fmt.Errorf("recover the position of a node: none in\n%s", out)
	}
	position, _, _ = bytes.Cut(position, []byte("\n"))
	return []string{"--wsrep-start-position=" + string(bytes.TrimSpace(position))}, nil
}

// errNotSynced is the error of a node that does not accept statements, or has not applied the
// transactions of the others.
var errNotSynced = errors.New("the node is not synced")

// checkSynced returns an error unless the node has received the transactions of the others.
func (c *Cluster) checkSynced(ctx context.Context, s *MySQLServer) error {
	status, err := c.status(ctx, s)
	if err == nil && !status.synced {
		err = errNotSynced
	}
	return err
}

// openQuietly returns a pool that does not log broken connections, which are expected of a node that is lost.
func (s *MySQLServer) openQuietly() (*sql.DB, error) {
	config, err := mysql.ParseDSN(s.DSN)
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

// galeraStatus returns the status of a node of Galera.
func galeraStatus(ctx context.Context, s *MySQLServer) (nodeStatus, error) {
	values, err := s.readPairs(ctx, "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_local_state_comment', 'wsrep_cluster_size')")
	if err != nil {
		return nodeStatus{}, err
	}
	synced := values["wsrep_ready"] == "ON" && values["wsrep_local_state_comment"] == "Synced"
	size, err := strconv.Atoi(values["wsrep_cluster_size"])
	return nodeStatus{synced: synced, accepts: synced, size: size}, err
}

// readPairs returns the rows of a statement with two columns.
func (s *MySQLServer) readPairs(ctx context.Context, statement string) (map[string]string, error) {
	db, err := s.openQuietly()
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	pairs := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		pairs[name] = value
	}
	return pairs, rows.Err()
}

// WaitUntilSynced waits until every node is synced and sees all others.
func (c *Cluster) WaitUntilSynced(ctx context.Context) error {
	for _, s := range c.Nodes {
		err := s.process.waitUntil(ctx, func(ctx context.Context) error {
			status, err := c.status(ctx, s)
			if err == nil && (!status.synced || status.size != len(c.Nodes)) {
				err = fmt.Errorf("%w: %+v", errNotSynced, status)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Isolate separates nodes from all others, and from each other, until the returned function is called: packets
// between them vanish, and no connection ends. Clients can still connect to them.
func (c *Cluster) Isolate(ctx context.Context, nodes ...*MySQLServer) (end func(context.Context) error, err error) {
	end = func(ctx context.Context) error { return c.network.isolate(ctx, func(int) bool { return false }) }
	if err := c.network.isolate(ctx, func(i int) bool { return slices.Contains(nodes, c.Nodes[i]) }); err != nil {
		return nil, errors.Join(err, end(context.WithoutCancel(ctx)))
	}
	return end, nil
}

// Stop stops the nodes and removes their data and their network.
func (c *Cluster) Stop() {
	var stopping sync.WaitGroup
	for _, s := range c.Nodes {
		stopping.Go(s.Stop)
		mysql.DeregisterDialContext(s.protocol())
	}
	stopping.Wait()
	c.network.close()
}
