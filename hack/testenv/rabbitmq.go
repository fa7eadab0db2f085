package testenv

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

// BrokerInfo contains the addresses and the administrator's credentials of a virtual
// host.
type BrokerInfo struct {
	Host          string
	Port          int
	ManagementURL string
	Username      string
	Password      string
	VHost         string
}

// URL returns the amqp:// URL of the virtual host.
func (b BrokerInfo) URL() string {
	return (&url.URL{
		Scheme: "amqp", User: url.UserPassword(b.Username, b.Password),
		Host: b.Host + ":" + strconv.Itoa(b.Port), Path: "/" + b.VHost, RawPath: "/" + url.PathEscape(b.VHost),
	}).String()
}

// Management returns a client of the management API.
func (b BrokerInfo) Management() (*rabbithole.Client, error) {
	return rabbithole.NewClient(b.ManagementURL, b.Username, b.Password)
}

// RabbitMQServer is a private broker on loopback ports with a separate node name, data
// directory and port mapper.
type RabbitMQServer struct {
	// Info is the default virtual host.
	Info BrokerInfo
	// PID is the process ID of the broker, MapperPID that of its port mapper.
	PID, MapperPID int

	dir          string
	keep         bool // Stop leaves dir as it is.
	env          []string
	server       string // path of the program
	epmd, broker *process
}

// StartRabbitMQ starts a broker with the management plugin.
func StartRabbitMQ(ctx context.Context) (*RabbitMQServer, error) {
	dir, err := newDir("rabbitmq")
	if err != nil {
		return nil, err
	}
	return startRabbitMQ(ctx, &RabbitMQServer{dir: dir})
}

// OpenRabbitMQ starts a broker whose data is in dir, which Stop leaves as it is.
func OpenRabbitMQ(ctx context.Context, dir string) (*RabbitMQServer, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// A first start that was interrupted may have created a part of the data.
	complete, data := filepath.Join(dir, "complete"), filepath.Join(dir, "data")
	if _, err := os.Stat(complete); err != nil {
		if err := os.RemoveAll(data); err != nil {
			return nil, err
		}
	}
	s, err := startRabbitMQ(ctx, &RabbitMQServer{dir: dir, keep: true})
	if err != nil {
		return nil, err
	}
	return s, os.WriteFile(complete, nil, 0o600)
}

func startRabbitMQ(ctx context.Context, s *RabbitMQServer) (*RabbitMQServer, error) {
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start RabbitMQ: %w", err)
	}
	return s, nil
}

func (s *RabbitMQServer) start(ctx context.Context) error {
	// Not the wrapper on PATH, which changes the user if it runs as root.
	var err error
	if s.server, err = find("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"); err != nil {
		return err
	}
	epmd, err := find("erlang-base", "epmd")
	if err != nil {
		return err
	}
	var ports [4]int // AMQP, management, distribution, epmd
	for i := range ports {
		if ports[i], err = FreePort(); err != nil {
			return err
		}
	}
	if s.env, err = s.configure(ports); err != nil {
		return err
	}
	// Start epmd explicitly, because one that Erlang starts never ends.
	if s.epmd, err = spawn(nil, filepath.Join(s.dir, "epmd.log"), s.env, epmd, "-address", "127.0.0.1",
		"-port", strconv.Itoa(ports[3])); err != nil {
		return err
	}
	s.MapperPID = s.epmd.cmd.Process.Pid
	return s.Restart(ctx)
}

// Kill kills the broker to simulate a crash.
func (s *RabbitMQServer) Kill() { s.broker.kill() }

// Restart starts the broker again that has ended, at the same addresses and with its data, and
// waits until it is ready. PID changes.
func (s *RabbitMQServer) Restart(ctx context.Context) error {
	var err error
	if s.broker, err = spawn(nil, filepath.Join(s.dir, "log"), s.env, s.server); err != nil {
		return err
	}
	s.PID = s.broker.cmd.Process.Pid
	return s.broker.waitUntil(ctx, func(context.Context) error {
		client, err := s.Info.Management()
		if err != nil {
			return err
		}
		_, err = client.Overview()
		return err
	})
}

// Control runs a command of rabbitmqctl, such as set_vm_memory_high_watermark.
func (s *RabbitMQServer) Control(ctx context.Context, command ...string) error {
	ctl, err := find("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmqctl", "rabbitmqctl")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, ctl, append([]string{"--node", nodeName}, command...)...)
	cmd.Env = s.env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s: %w\n%s", command[0], err, out)
	}
	return nil
}

// nodeName is a part of the names of the data files. Each broker has a port mapper of its own,
// so that brokers may have the same name.
const nodeName = "ecommerce@localhost"

// password returns the administrator's password, which the broker stores at its first start.
func (s *RabbitMQServer) password() (string, error) {
	file := filepath.Join(s.dir, "password")
	content, err := os.ReadFile(file)
	if err == nil {
		return string(content), nil
	}
	password := rand.Text()
	return password, os.WriteFile(file, []byte(password), 0o600)
}

// configure writes the broker's files and returns its environment.
func (s *RabbitMQServer) configure(ports [4]int) ([]string, error) {
	password, err := s.password()
	if err != nil {
		return nil, err
	}
	s.Info = BrokerInfo{
		Host: "127.0.0.1", Port: ports[0], ManagementURL: "http://127.0.0.1:" + strconv.Itoa(ports[1]),
		Username: "admin", Password: password, VHost: "/",
	}
	files := map[string]string{
		"rabbitmq.conf": fmt.Sprintf(`listeners.tcp.default = 127.0.0.1:%d
management.tcp.ip = 127.0.0.1
management.tcp.port = %d
default_user = admin
default_pass = %s
log.file.level = warning
disk_free_limit.absolute = 50MB
collect_statistics_interval = 1000
`, ports[0], ports[1], password),
		// Quorum queues count their messages once a second, and not every five.
		"advanced.config": "[{rabbit, [{quorum_tick_interval, 1000}]}].\n",
		"enabled_plugins": "[rabbitmq_management].\n",
		".erlang.cookie":  rand.Text(),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "LANG=C.UTF-8",
		"RABBITMQ_NODENAME=" + nodeName,
		"RABBITMQ_CONFIG_FILE=" + in("rabbitmq.conf"), "RABBITMQ_ADVANCED_CONFIG_FILE=" + in("advanced.config"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + in("enabled_plugins"),
		"RABBITMQ_MNESIA_BASE=" + in("data"), "RABBITMQ_LOG_BASE=" + in("logs"),
		"RABBITMQ_CONF_ENV_FILE=" + in("none"), "RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[2]),
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none",
		"ERL_EPMD_PORT=" + strconv.Itoa(ports[3]), "ERL_EPMD_ADDRESS=127.0.0.1",
		"ERL_CRASH_DUMP=" + in("erl_crash.dump"), // not in the working directory
		// Makes the script exec the server, so that Pdeathsig reaches the server.
		"RUNNING_UNDER_SYSTEMD=true",
	}, nil
}

// Stop stops the broker and its port mapper, and removes its directory unless OpenRabbitMQ
// started it.
func (s *RabbitMQServer) Stop() {
	for _, p := range []*process{s.broker, s.epmd} {
		if p != nil {
			p.stop()
		}
	}
	if !s.keep {
		_ = os.RemoveAll(s.dir)
	}
}
