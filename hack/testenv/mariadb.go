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
	keep    bool // Stop leaves dir as it is.
	spawn   func() (*process, error)
	process *process
}

// StartMySQL starts a MariaDB server with additional flags. Without flags it does
// not sync to disk, because tests do not need durability.
func StartMySQL(ctx context.Context, flags ...string) (*MySQLServer, error) {
	dir, err := newDir("mysql")
	if err != nil {
		return nil, err
	}
	return startMySQL(ctx, &MySQLServer{dir: dir}, flags)
}

// OpenMySQL starts a MariaDB server whose data is in dir, which Stop leaves as it is. The data
// survives a kill of the server.
func OpenMySQL(ctx context.Context, dir string) (*MySQLServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return startMySQL(ctx, &MySQLServer{dir: dir, keep: true}, []string{"--innodb-flush-log-at-trx-commit=2"})
}

func startMySQL(ctx context.Context, s *MySQLServer, flags []string) (*MySQLServer, error) {
	if err := s.start(ctx, flags); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start MariaDB: %w", err)
	}
	return s, nil
}

func (s *MySQLServer) start(ctx context.Context, flags []string) error {
	mariadbd, err := find("mariadb-server-core", "mariadbd", "mysqld")
	if err != nil {
		return err
	}
	password := rand.Text()
	data, initFile := filepath.Join(s.dir, "data"), filepath.Join(s.dir, "init.sql")
	common := []string{"--no-defaults"}
	if os.Geteuid() == 0 {
		common = append(common, "--user=root")
	}
	// On start a server removes temporary tables from its temporary folder, even those
	// of other servers.
	tmp := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	env := append(os.Environ(), "TMPDIR="+tmp)
	if err := initialize(ctx, data, common, env); err != nil {
		return err
	}
	common = append(common, "--datadir="+data)
	sql := "ALTER USER root@localhost IDENTIFIED BY '" + password + "';\n" +
		"CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '" + password + "';\n" +
		"GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n" +
		// The init file has no right to grant PROXY.
		"REPLACE INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) VALUES ('127.0.0.1', 'root', '', '', 1, '');\n" +
		"FLUSH PRIVILEGES;\n"
	if err := os.WriteFile(initFile, []byte(sql), 0o600); err != nil {
		return err
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	args := slices.Concat(common, []string{"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--skip-name-resolve",
		"--socket=sock", "--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + initFile,
		"--character-set-server=utf8mb4", "--max-connections=500"})
	if len(flags) == 0 {
		flags = []string{"--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite"}
	}
	s.spawn = func() (*process, error) {
		return spawn(filepath.Join(s.dir, "log"), env, mariadbd, append(args, flags...)...)
	}
	s.Address = "127.0.0.1:" + strconv.Itoa(port)
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "root", password, "tcp", s.Address
	s.DSN = config.FormatDSN()
	return s.Restart(ctx)
}

// Kill kills the server to simulate a crash.
func (s *MySQLServer) Kill() { s.process.kill() }

// Restart starts the server again that has ended, at the same address and with its data, and
// waits until it is ready. PID changes.
func (s *MySQLServer) Restart(ctx context.Context) error {
	var err error
	if s.process, err = s.spawn(); err != nil {
		return err
	}
	s.PID = s.process.cmd.Process.Pid
	return s.process.waitUntil(ctx, func(ctx context.Context) error { return pingMySQL(ctx, s.DSN) })
}

// initialize creates the data directory unless it exists. One whose creation was interrupted
// is created again.
func initialize(ctx context.Context, data string, flags, env []string) error {
	if _, err := os.Stat(data); err == nil {
		return nil
	}
	install, err := find("mariadb-client-core mariadb-server-core", "mariadb-install-db", "mysql_install_db")
	if err != nil {
		return err
	}
	incomplete := data + ".new"
	if err := os.RemoveAll(incomplete); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, install, slices.Concat(flags, []string{"--datadir=" + incomplete, "--auth-root-authentication-method=normal", "--skip-test-db"})...)
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialize the data directory: %w\n%s", err, out)
	}
	return os.Rename(incomplete, data)
}

// Stop stops the server, and removes its directory unless OpenMySQL started it.
func (s *MySQLServer) Stop() {
	if s.process != nil {
		s.process.stop()
	}
	if !s.keep {
		_ = os.RemoveAll(s.dir)
	}
}

func pingMySQL(ctx context.Context, dsn string) error {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.PingContext(ctx)
}
