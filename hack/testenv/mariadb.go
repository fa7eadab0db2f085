package testenv

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// MySQLServer is a private MariaDB on a loopback port with its own data directory.
type MySQLServer struct {
	// DSN is the data source name of the root account, without a schema.
	DSN string
	// Address is the host and port of the server.
	Address string
	// PID is the process ID of the server.
	PID int

	dir     string
	process *process
}

// StartMySQL starts a MariaDB server with additional flags. Without flags it does
// not sync to disk, because tests do not need durability.
func StartMySQL(ctx context.Context, flags ...string) (*MySQLServer, error) {
	mariadbd, err := find("mariadb-server-core", "mariadbd", "mysqld")
	if err != nil {
		return nil, err
	}
	install, err := find("mariadb-client-core mariadb-server-core", "mariadb-install-db", "mysql_install_db")
	if err != nil {
		return nil, err
	}
	dir, err := newDir("mysql")
	if err != nil {
		return nil, err
	}
	s := &MySQLServer{dir: dir}
	if err := s.start(ctx, mariadbd, install, flags); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start MariaDB: %w", err)
	}
	return s, nil
}

func (s *MySQLServer) start(ctx context.Context, mariadbd, install string, flags []string) error {
	password := rand.Text()
	data, initFile := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "init.sql")
	common := []string{"--no-defaults", "--datadir=" + data}
	if os.Geteuid() == 0 {
		common = append(common, "--user=root")
	}
	// On start a server removes temporary tables from its temporary folder, even those
	// of other servers.
	tmp := filepath.Join(s.dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	env := append(os.Environ(), "TMPDIR="+tmp)
	initialize := exec.CommandContext(ctx, install, append(common, "--auth-root-authentication-method=normal", "--skip-test-db")...)
	initialize.Env = env
	if out, err := initialize.CombinedOutput(); err != nil {
		return fmt.Errorf("initialize the data directory: %w\n%s", err, out)
	}
	sql := "ALTER USER root@localhost IDENTIFIED BY '" + password + "';\n" +
		"CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '" + password + "';\n" +
		"GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n"
	if err := os.WriteFile(initFile, []byte(sql), 0o600); err != nil {
		return err
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	args := slices.Concat(common, []string{"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--skip-name-resolve",
		"--socket=" + filepath.Join(s.dir, "sock"), "--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + initFile,
		"--character-set-server=utf8mb4", "--max-connections=500"})
	if len(flags) == 0 {
		flags = []string{"--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite"}
	}
	if s.process, err = spawn(filepath.Join(s.dir, "log"), env, mariadbd, append(args, flags...)...); err != nil {
		return err
	}
	s.PID = s.process.cmd.Process.Pid
	s.Address = "127.0.0.1:" + strconv.Itoa(port)
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "root", password, "tcp", s.Address
	s.DSN = config.FormatDSN()
	return s.process.waitUntil(ctx, func(ctx context.Context) error { return pingMySQL(ctx, s.DSN) })
}

// Stop stops the server and removes its directory.
func (s *MySQLServer) Stop() {
	if s.process != nil {
		s.process.stop()
	}
	_ = os.RemoveAll(s.dir)
}

func pingMySQL(ctx context.Context, dsn string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}
