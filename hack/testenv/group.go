package testenv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// StartGroup starts three nodes of the MySQL of MYSQLD that replicate as a group with one primary member,
// with additional flags of every node.
func StartGroup(ctx context.Context, flags ...string) (*Cluster, error) {
	c := &Cluster{password: rand.Text(), status: groupStatus}
	c.recover = c.recoverGroup
	if err := c.startGroup(ctx, flags); err != nil {
		c.Stop()
		return nil, fmt.Errorf("start a group of MySQL: %w", err)
	}
	return c, nil
}

func (c *Cluster) startGroup(ctx context.Context, flags []string) error {
	if os.Getenv(ProgramVariable) == "" {
		return fmt.Errorf("%s is not set, but must be the path of the mysqld of MySQL: `go run ./hack/cluster mysqld` prints one", ProgramVariable)
	}
	p, err := findProgram(ctx)
	if err != nil {
		return err
	}
	p.flags = []string{"--mysqlx=OFF", "--secure-file-priv=NULL"} // A group needs the binary log.
	if err := c.newNodes(ctx, p, "group", flags); err != nil {
		return err
	}
	var seeds []string
	for i := range c.Nodes {
		seeds = append(seeds, nodeAddress(i)+":33061")
	}
	for i, s := range c.Nodes {
		// Members copy what they have missed from the address of another one for clients.
		s.args = append(s.args, "--bind-address=*", "--report-host="+nodeAddress(i), "--group-replication-ip-allowlist=10.0.0.0/24",
			"--server-id="+strconv.Itoa(i+1), "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog",
			"--plugin-load-add=group_replication.so", "--group-replication-group-name=5d1e5a5e-0000-4000-8000-000000000000",
			"--group-replication-local-address="+seeds[i], "--group-replication-group-seeds="+strings.Join(seeds, ","),
			"--group-replication-recovery-get-public-key=ON")
		if err := s.initialize(ctx, p); err != nil {
			return err
		}
		initFile, err := s.writeInitFile(c.password)
		if err != nil {
			return err
		}
		s.next = func(context.Context) ([]string, error) { return []string{startAlone, initFile}, nil }
		if err := s.Restart(ctx); err != nil {
			return err
		}
		s.next = func(context.Context) ([]string, error) { return nil, nil }
		s.ready = func(ctx context.Context) error { return c.checkSynced(ctx, s) }
		// The administrator and the account for copies exist at each node before it joins, and are not replicated.
		err = s.execute(ctx, "CREATE USER copies@'10.0.0.%' IDENTIFIED BY '"+c.password+"'", "GRANT REPLICATION SLAVE ON *.* TO copies@'10.0.0.%'",
			"RESET BINARY LOGS AND GTIDS",
			"CHANGE REPLICATION SOURCE TO SOURCE_USER = 'copies', SOURCE_PASSWORD = '"+c.password+"' FOR CHANNEL 'group_replication_recovery'")
		if err == nil {
			err = s.joinGroup(ctx, i == 0)
		}
		if err != nil {
			return fmt.Errorf("member %d: %w", i+1, err)
		}
	}
	return c.WaitUntilSynced(ctx)
}

// startAlone is the argument of a node that starts as no member of a group.
const startAlone = "--group-replication-start-on-boot=OFF"

// recoverGroup starts members. After the end of all of them there is no group that they could join, so the one
// with the most transactions makes a new one.
func (c *Cluster) recoverGroup(ctx context.Context, ended []*MySQLServer) error {
	if len(ended) < len(c.Nodes) {
		return c.join(ctx, ended)
	}
	for _, s := range ended {
		next, ready := s.next, s.ready
		s.next = func(context.Context) ([]string, error) { return []string{startAlone}, nil }
		s.ready = func(ctx context.Context) error { return pingMySQL(ctx, s.DSN) }
		err := s.Restart(ctx)
		s.next, s.ready = next, ready
		if err != nil {
			return err
		}
	}
	first, err := mostTransactions(ctx, ended)
	if err != nil {
		return err
	}
	if err := first.joinGroup(ctx, true); err != nil {
		return err
	}
	for _, s := range ended {
		if s != first {
			if err := s.joinGroup(ctx, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// mostTransactions returns the node that has the transactions of all others. A node also has those that it has
// received and not executed.
func mostTransactions(ctx context.Context, nodes []*MySQLServer) (*MySQLServer, error) {
	var most *MySQLServer
	var all string
	for _, s := range nodes {
		pairs, err := s.readPairs(ctx, "SELECT 'executed', @@GLOBAL.gtid_executed UNION SELECT 'received', received_transaction_set "+
			"FROM performance_schema.replication_connection_status WHERE channel_name = 'group_replication_applier'")
		if err != nil {
			return nil, err
		}
		set := pairs["executed"] + "," + pairs["received"]
		compared, err := s.readPairs(ctx, fmt.Sprintf("SELECT 'more', GTID_SUBSET('%s', '%s') UNION SELECT 'less', GTID_SUBSET('%s', '%s')", all, set, set, all))
		switch {
		case err != nil:
			return nil, err
		case compared["more"] == "1":
			most, all = s, set
		case compared["less"] == "0":
			return nil, fmt.Errorf("two members have transactions that the other one lacks: %q and %q", all, set)
		}
	}
	return most, nil
}

// execute executes statements at the node.
func (s *MySQLServer) execute(ctx context.Context, statements ...string) error {
	db, err := s.openQuietly()
	if err != nil {
		return err
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			command, _, _ := strings.Cut(statement, " TO ")
			command, _, _ = strings.Cut(command, " IDENTIFIED ")
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
}

// joinGroup makes a node a member of the group, or of a new one, and waits until it has all transactions.
func (s *MySQLServer) joinGroup(ctx context.Context, isNew bool) error {
	var statements []string
	if isNew {
		statements = append(statements, "SET GLOBAL group_replication_bootstrap_group = ON")
	}
	if err := s.execute(ctx, append(statements, "START GROUP_REPLICATION", "SET GLOBAL group_replication_bootstrap_group = OFF")...); err != nil {
		return err
	}
	return s.process.waitUntil(ctx, s.ready)
}

// groupStatus returns the status of a member of a group.
func groupStatus(ctx context.Context, s *MySQLServer) (nodeStatus, error) {
	members, err := s.readPairs(ctx, "SELECT IF(member_id = @@server_uuid, 'self', member_id), CONCAT(member_state, ' ', member_role) "+
		"FROM performance_schema.replication_group_members WHERE member_state != 'UNREACHABLE'")
	if err != nil {
		return nodeStatus{}, err
	}
	self, ok := members["self"]
	if !ok {
		return nodeStatus{}, errors.New("the node is no member of a group")
	}
	return nodeStatus{synced: strings.HasPrefix(self, "ONLINE "), accepts: self == "ONLINE PRIMARY" && 2*len(members) > galeraNodes, size: len(members)}, nil
}
