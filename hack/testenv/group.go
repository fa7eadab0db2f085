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
	seeds := make([]string, galeraNodes)
	for i := range seeds {
		port, err := FreePort()
		if err != nil {
			return err
		}
		seeds[i] = "127.0.0.1:" + strconv.Itoa(port)
	}
	for i, address := range seeds {
		dir, err := newDir("group")
		if err != nil {
			return err
		}
		s := &MySQLServer{dir: dir}
		c.Nodes = append(c.Nodes, s)
		if err := s.configure(p, c.password, flags); err != nil {
			return err
		}
		s.args = append(s.args, "--server-id="+strconv.Itoa(i+1), "--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog", "--report-host=127.0.0.1",
			"--plugin-load-add=group_replication.so", "--group-replication-group-name=5d1e5a5e-0000-4000-8000-000000000000",
			"--group-replication-local-address="+address, "--group-replication-group-seeds="+strings.Join(seeds, ","),
			"--group-replication-recovery-get-public-key=ON")
		if err := c.firstStart(ctx, p, s); err != nil {
			return err
		}
		if err := s.joinGroup(ctx, c.password, i == 0); err != nil {
			return fmt.Errorf("member %d: %w", i+1, err)
		}
		s.args = append(s.args, "--group-replication-start-on-boot=ON")
		s.ready = func(ctx context.Context) error { return c.checkSynced(ctx, s) }
	}
	return c.WaitUntilSynced(ctx)
}

// firstStart starts a node alone, with an administrator whose creation is not replicated.
func (c *Cluster) firstStart(ctx context.Context, p program, s *MySQLServer) error {
	if err := s.initialize(ctx, p); err != nil {
		return err
	}
	initFile, err := s.writeInitFile(c.password)
	if err != nil {
		return err
	}
	next := s.next
	s.next = func(context.Context) ([]string, error) {
		return []string{"--group-replication-start-on-boot=OFF", initFile}, nil
	}
	defer func() { s.next = next }()
	return s.Restart(ctx)
}

// joinGroup makes a node a member of the group, or of a new one.
func (s *MySQLServer) joinGroup(ctx context.Context, password string, isNew bool) error {
	db, err := s.openQuietly()
	if err != nil {
		return err
	}
	defer db.Close()
	statements := []string{"RESET BINARY LOGS AND GTIDS",
		"CHANGE REPLICATION SOURCE TO SOURCE_USER = 'root', SOURCE_PASSWORD = '" + password + "' FOR CHANNEL 'group_replication_recovery'"}
	if isNew {
		statements = append(statements, "SET GLOBAL group_replication_bootstrap_group = ON")
	}
	statements = append(statements, "START GROUP_REPLICATION", "SET GLOBAL group_replication_bootstrap_group = OFF")
	for _, statement := range statements {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			command, _, _ := strings.Cut(statement, " TO ")
			return fmt.Errorf("%s: %w", command, err)
		}
	}
	return nil
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
