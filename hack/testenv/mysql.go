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
	program string
	base    []string // the arguments that every run of the program needs
	args    []string // the other arguments of the server
	env     []string
	process *process
	// namespace is that of a node of a cluster, in which its address is.
	namespace *namespace
	// next returns the arguments of the next start only, and ready reports whether the server is ready.
	next  func(ctx context.Context) ([]string, error)
	ready func(ctx context.Context) error
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
	if err := s.configure(p, password, flags); err != nil {
		return err
	}
	if err := s.initialize(ctx, p); err != nil {
		return err
	}
	initFile, err := s.writeInitFile(password)
	if err != nil {
		return err
	}
	s.args = append(s.args, initFile)
	return s.Restart(ctx)
}

// configure sets the address and the arguments of the server, and makes its folders.
func (s *MySQLServer) configure(p program, password string, flags []string) error {
	// On start a server removes temporary tables from its temporary folder, even those
	// of other servers.
	tmp := filepath.Join(s.dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	s.env = append(os.Environ(), "TMPDIR="+tmp)
	s.program, s.base = p.server, []string{"--no-defaults"}
	if os.Geteuid() == 0 {
		s.base = append(s.base, "--user=root")
	}
	port, err := FreePort()
	if err != nil {
		return err
	}
	s.Address = "127.0.0.1:" + strconv.Itoa(port)
	s.DSN = administratorDSN(s.protocol(), s.Address, password)
	if len(flags) == 0 {
		flags = []string{"--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0"}
	}
	s.args = slices.Concat([]string{"--datadir=" + s.data(), "--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--skip-name-resolve",
		"--socket=sock", "--pid-file=" + filepath.Join(s.dir, "pid"), "--character-set-server=utf8mb4", "--max-connections=500"}, p.flags, flags)
	s.next = func(context.Context) ([]string, error) { return nil, nil }
	s.ready = func(ctx context.Context) error { return pingMySQL(ctx, s.DSN) }
	return nil
}

// protocol returns the protocol of the DSN, for a node of a cluster one that connects to it in its namespace.
func (s *MySQLServer) protocol() string {
	if s.namespace == nil {
		return "tcp"
	}
	return filepath.Base(s.dir)
}

// data returns the path of the data directory.
func (s *MySQLServer) data() string { return filepath.Join(s.dir, "data") }

// writeInitFile writes the statements that the server executes when it starts, and returns the argument
// with their file.
func (s *MySQLServer) writeInitFile(password string) (argument string, err error) {
	file := filepath.Join(s.dir, "init.sql")
	return "--init-file=" + file, os.WriteFile(file, []byte(setUpAdministrator(password)), 0o600)
}

func administratorDSN(protocol, address, password string) string {
	config := mysql.NewConfig()
	config.User, config.Passwd, config.Net, config.Addr = "root", password, protocol, address
	return config.FormatDSN()
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
	next, err := s.next(ctx)
	if err != nil {
		return err
	}
	if s.process, err = spawn(s.namespace, filepath.Join(s.dir, "log"), s.env, s.program, slices.Concat(s.base, s.args, next)...); err != nil {
		return err
	}
	s.PID = s.process.cmd.Process.Pid
	return s.process.waitUntil(ctx, s.ready)
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
		return findMariaDB()
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

func findMariaDB() (program, error) {
	mariadbd, err := find("mariadb-server-core", "mariadbd", "mysqld")
	return program{server: mariadbd, create: installMariaDB}, err
}

func installMariaDB(data string) (string, []string, error) {
	install, err := find("mariadb-client-core mariadb-server-core", "mariadb-install-db", "mysql_install_db")
	return install, []string{"--datadir=" + data, "--auth-root-authentication-method=normal", "--skip-test-db"}, err
}

// initialize creates the data directory unless it exists. One whose creation was interrupted
// is created again.
func (s *MySQLServer) initialize(ctx context.Context, p program) error {
	if _, err := os.Stat(s.data()); err == nil {
		return nil
	}
	incomplete := s.data() + ".new"
	if err := os.RemoveAll(incomplete); err != nil {
		return err
	}
	name, args, err := p.create(incomplete)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, name, slices.Concat(s.base, args)...)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initialize the data directory: %w\n%s", err, out)
	}
	return os.Rename(incomplete, s.data())
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
