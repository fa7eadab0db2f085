package testenv

import (
	"bytes"
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

// ProgramVariable is the environment variable with the path of the mysqld of MySQL that StartMySQL
// and OpenMySQL start instead of the installed MariaDB: `go run ./hack/cluster mysqld` prints one.
const ProgramVariable = "MYSQLD"

// MySQLServer is a private MariaDB or MySQL on a loopback port with its own data directory.
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

// StartMySQL starts a MariaDB server, or the MySQL of MYSQLD, with additional flags. Without
// flags it does not sync to disk, because tests do not need durability.
func StartMySQL(ctx context.Context, flags ...string) (*MySQLServer, error) {
	dir, err := newDir("mysql")
	if err != nil {
		return nil, err
	}
	return startMySQL(ctx, &MySQLServer{dir: dir}, flags)
}

// OpenMySQL starts a server like StartMySQL whose data is in dir, which Stop leaves as it is. The
// data survives a kill of the server. MySQL and MariaDB do not read the data of each other.
func OpenMySQL(ctx context.Context, dir string) (*MySQLServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return startMySQL(ctx, &MySQLServer{dir: dir, keep: true}, []string{"--innodb-flush-log-at-trx-commit=2"})
}

func startMySQL(ctx context.Context, s *MySQLServer, flags []string) (*MySQLServer, error) {
	if err := s.start(ctx, flags); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start the database: %w", err)
	}
	return s, nil
}

func (s *MySQLServer) start(ctx context.Context, flags []string) error {
	p, err := findProgram(ctx)
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
	if err := p.initialize(ctx, data, common, env); err != nil {
		return err
	}
	common = append(common, "--datadir="+data)
	if err := os.WriteFile(initFile, []byte(setUpAdministrator(password)), 0o600); err != nil {
		return err
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	args := slices.Concat(common, []string{"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--skip-name-resolve",
		"--socket=sock", "--pid-file=" + filepath.Join(s.dir, "pid"), "--init-file=" + initFile,
		"--character-set-server=utf8mb4", "--max-connections=500"}, p.flags)
	if len(flags) == 0 {
		flags = []string{"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"}
	}
	s.spawn = func() (*process, error) {
		return spawn(filepath.Join(s.dir, "log"), env, p.server, append(args, flags...)...)
	}
	s.Address = "127.0.0.1:" + strconv.Itoa(port)
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "root", password, "tcp", s.Address
	s.DSN = config.FormatDSN()
	return s.Restart(ctx)
}

// Kill kills the server to simulate a crash.
func (s *MySQLServer) Kill() { s.process.kill() }

// HasEnded reports whether the server has ended, also by itself.
func (s *MySQLServer) HasEnded() bool {
	select {
	case <-s.process.done:
		return true
	default:
		return false
	}
}

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

// setUpAdministrator returns the statements that give root a password, one per line.
func setUpAdministrator(password string) string {
	return "ALTER USER root@localhost IDENTIFIED BY '" + password + "';\n" +
		"DROP USER IF EXISTS root@'127.0.0.1';\n" +
		"CREATE USER root@'127.0.0.1' IDENTIFIED BY '" + password + "';\n" +
		"GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n" +
		// The init file has no right to grant PROXY.
		"REPLACE INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) VALUES ('127.0.0.1', 'root', '', '', 1, '');\n" +
		"FLUSH PRIVILEGES;\n"
}

// program is a server program.
type program struct {
	server string
	// create returns the command that creates a data directory.
	create func(data string) (name string, args []string, err error)
	flags  []string
}

// findProgram returns the MySQL of MYSQLD, or the installed MariaDB.
func findProgram(ctx context.Context) (program, error) {
	path := os.Getenv(ProgramVariable)
	if path == "" {
		mariadbd, err := find("mariadb-server-core", "mariadbd", "mysqld")
		return program{server: mariadbd, create: installMariaDB}, err
	}
	version, err := exec.CommandContext(ctx, path, "--no-defaults", "--version").CombinedOutput()
	if err != nil {
		return program{}, fmt.Errorf("run the program of %s: %w (it must be the path of the mysqld of MySQL: `go run ./hack/cluster mysqld` prints one)\n%s", ProgramVariable, err, version)
	}
	if bytes.Contains(version, []byte("MariaDB")) {
		return program{}, fmt.Errorf("%s is %s, which is MariaDB, but must be the path of the mysqld of MySQL: `go run ./hack/cluster mysqld` prints one", ProgramVariable, path)
	}
	return program{
		server: path,
		create: func(data string) (string, []string, error) {
			return path, []string{"--initialize-insecure", "--datadir=" + data}, nil
		},
		// The X protocol has a fixed port. Debian's folder for files of statements may be missing.
		flags: []string{"--mysqlx=OFF", "--secure-file-priv=NULL", "--skip-log-bin"},
	}, nil
}

func installMariaDB(data string) (string, []string, error) {
	install, err := find("mariadb-client-core mariadb-server-core", "mariadb-install-db", "mysql_install_db")
	return install, []string{"--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}, err
}

// initialize creates the data directory unless it exists. One whose creation was interrupted
// is created again.
func (p program) initialize(ctx context.Context, data string, flags, env []string) error {
	if _, err := os.Stat(data); err == nil {
		return nil
	}
	incomplete := data + ".new"
	if err := os.RemoveAll(incomplete); err != nil {
		return err
	}
	name, args, err := p.create(incomplete)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, name, slices.Concat(flags, args)...)
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
