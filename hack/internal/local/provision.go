package local

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/go-sql-driver/mysql"
	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/hack/internal/state"
	"ecommerce-stack.dev/services/event"
)

// Issuer and Audience are those of the system's tokens, as the operator sets them
// for the stack demo in the namespace shop.
const (
	Issuer   = "urn:ecommerce-stack:shop:demo"
	Audience = Issuer + ":api"
)

// schemas are the names of the schemas by service.
var schemas = map[string]string{
	"auth": "users_auth_service", "sales": "sales_micro_service", "stock": "stock_micro_service",
}

// The two accounts of a schema.
const (
	owner     = "owner" // runs migrations
	readWrite = "rw"    // reads and writes rows
)

var privileges = map[string]string{owner: "ALL PRIVILEGES", readWrite: "SELECT, INSERT, UPDATE, DELETE"}

// provision creates what is missing. Accounts of the servers get new passwords at each start,
// the manager and the keys of tokens stay the same.
func (s *System) provision(ctx context.Context, _ func(string)) error {
	if err := s.readManager(); err != nil {
		return err
	}
	passwords, err := s.createAccounts(ctx)
	if err != nil {
		return err
	}
	s.dsns = passwords
	urls, err := s.createTopology()
	if err != nil {
		return err
	}
	keys, err := s.writeKeys()
	if err != nil {
		return err
	}
	return s.configure(urls, keys)
}

// createAccounts creates the schemas and their accounts and returns the accounts'
// DSNs.
func (s *System) createAccounts(ctx context.Context) (map[string]string, error) {
	administrator, _ := s.Database()
	db, err := sql.Open("mysql", administrator)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	dsns := map[string]string{}
	for service, schema := range schemas {
		statements := []string{"CREATE DATABASE IF NOT EXISTS " + schema + " CHARACTER SET utf8mb4"}
		for account, privilege := range privileges {
			config := mysql.NewConfig()
			config.User, config.Passwd, config.DBName = service+"_"+account, s.secret(), schema
			config.Net, config.Addr = "tcp", s.MySQLLink.Address
			// The names and the password need no quoting: they contain letters, digits
			// and underscores only.
			statements = append(statements,
				fmt.Sprintf("DROP USER IF EXISTS '%s'@'%%'", config.User),
				fmt.Sprintf("CREATE USER '%s'@'%%' IDENTIFIED BY '%s'", config.User, config.Passwd),
				fmt.Sprintf("GRANT %s ON %s.* TO '%s'@'%%'", privilege, schema, config.User))
			dsns[service+"_"+account] = config.FormatDSN()
		}
		for _, statement := range statements {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return nil, fmt.Errorf("provision schema %s: %w", schema, err)
			}
		}
	}
	return dsns, nil
}

// secret returns a new password and adds it to Secrets.
func (s *System) secret() string {
	password := rand.Text()
	s.secrets = append(s.secrets, password)
	return password
}

// Secrets returns all passwords of the system, which no log may contain.
func (s *System) Secrets() []string { return append(s.secrets, s.ManagerPassword) }

func (s *System) dsn(service, account string) string { return s.dsns[service+"_"+account] }

// createTopology creates the virtual host, its objects and its users, and returns
// the users' AMQP URLs by service.
func (s *System) createTopology() (map[string]string, error) {
	t, err := s.newTopology()
	if err != nil {
		return nil, err
	}
	t.do(t.client.PutVhost(VHost, rabbithole.VhostSettings{}))
	t.do(t.client.UpdatePermissionsIn(VHost, s.RabbitMQ.Info.Username, rabbithole.Permissions{Configure: ".*", Write: ".*", Read: ".*"}))
	for name, kind := range event.Exchanges {
		t.do(t.client.DeclareExchange(VHost, name, rabbithole.ExchangeSettings{Type: kind, Durable: true}))
	}
	t.declareQueues()
	urls := map[string]string{}
	for service, p := range event.Permissions {
		user, password := VHost+"."+service, s.secret()
		t.do(t.client.PutUser(user, rabbithole.UserSettings{Password: password}))
		t.do(t.client.UpdatePermissionsIn(VHost, user, rabbithole.Permissions{Configure: p.Configure, Write: p.Write, Read: p.Read}))
		t.do(t.client.UpdateTopicPermissionsIn(VHost, user, rabbithole.TopicPermissions{Exchange: event.Exchange, Write: p.TopicWrite, Read: p.TopicRead}))
		urls[service] = (&url.URL{Scheme: "amqp", User: url.UserPassword(user, password), Host: s.BrokerLink.Address, Path: "/" + VHost}).String()
	}
	return urls, t.failed
}

// DeclareQueues declares the queues of the services that do not exist, with their bindings, as
// the operator does.
func (s *System) DeclareQueues() error {
	t, err := s.newTopology()
	if err != nil {
		return err
	}
	t.declareQueues()
	return t.failed
}

// topology declares objects of the broker. failed is its first error.
type topology struct {
	client *rabbithole.Client
	failed error
}

func (s *System) newTopology() (*topology, error) {
	client, err := s.RabbitMQ.Info.Management()
	return &topology{client: client}, err
}

func (t *topology) do(res *http.Response, err error) {
	if err == nil {
		err = res.Body.Close()
	}
	if err != nil && t.failed == nil {
		t.failed = fmt.Errorf("create the topology: %w", err)
	}
}

func (t *topology) declareQueues() {
	for _, q := range event.Queues {
		for _, p := range q.Policies() {
			t.do(t.client.PutPolicy(VHost, p.Name, rabbithole.Policy{Pattern: p.Pattern, ApplyTo: "queues", Definition: p.Definition}))
		}
		t.do(t.client.DeclareQueue(VHost, q.Name, rabbithole.QueueSettings{Durable: true, Arguments: q.Arguments()}))
		t.do(t.client.DeclareQueue(VHost, q.DeadLetterQueue(), rabbithole.QueueSettings{Durable: true, Arguments: q.DeadLetterArguments()}))
		for _, b := range q.Bindings() {
			t.do(t.client.DeclareBinding(VHost, rabbithole.BindingInfo{Source: b.Exchange, Destination: b.Queue, DestinationType: "queue", RoutingKey: b.Key}))
		}
	}
}

// keyFiles are the paths of the files with the keys of tokens.
type keyFiles struct{ verify, signing, active string }

// readManager sets ManagerPassword, which is made at the first start.
func (s *System) readManager() error {
	file := filepath.Join(s.Dir, "manager-password")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		content = []byte(rand.Text())
		err = state.Write(file, content, 0o600)
	}
	s.ManagerPassword = string(content)
	return err
}

// writeKeys writes the files with the keys of tokens unless they exist.
func (s *System) writeKeys() (keyFiles, error) {
	f := keyFiles{filepath.Join(s.Dir, "jwks.json"), filepath.Join(s.Dir, "signing.json"), filepath.Join(s.Dir, "active")}
	// The last of the files is written last.
	if _, err := os.Stat(f.active); err == nil {
		return f, nil
	}
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return keyFiles{}, err
	}
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{{
		"kty": "oct", "alg": "HS256", "use": "sig", "kid": "local", "k": base64.RawURLEncoding.EncodeToString(secret),
	}}})
	if err != nil {
		return keyFiles{}, err
	}
	return f, errors.Join(state.Write(f.verify, set, 0o600), state.Write(f.signing, set, 0o600), state.Write(f.active, []byte("local"), 0o600))
}

// configure assigns the addresses and sets the environment of every service.
func (s *System) configure(urls map[string]string, keys keyFiles) error {
	s.addresses = map[string]string{"gateway": s.options.GatewayAddr}
	for _, name := range Services {
		if s.addresses[name] != "" {
			continue
		}
		address, err := freeAddress()
		if err != nil {
			return fmt.Errorf("find a free port: %w", err)
		}
		s.addresses[name] = address
	}
	s.URL, s.KeysFile = s.ServiceURL("gateway"), keys.verify
	for name, address := range s.addresses {
		env := []string{"HTTP_ADDR=" + address, "JWT_KEYS_FILE=" + keys.verify,
			"JWT_ISSUER=" + Issuer, "JWT_AUDIENCE=" + Audience}
		if schemas[name] != "" {
			env = append(env, "MYSQL_DSN="+s.dsn(name, readWrite))
		}
		if urls[name] != "" {
			env = append(env, "AMQP_URL="+urls[name])
		}
		s.settings[name] = env
	}
	s.settings["auth"] = append(s.settings["auth"], "JWT_SIGNING_FILE="+keys.signing, "JWT_ACTIVE_FILE="+keys.active,
		"MANAGER_EMAIL="+s.ManagerEmail, "MANAGER_PASSWORD="+s.ManagerPassword)
	metrics, err := s.metricsAddress("auth")
	if err != nil {
		return err
	}
	for _, name := range []string{"sales", "stock"} {
		s.settings[name] = append(s.settings[name], "REVOCATIONS_URL=http://"+metrics+"/revocations")
	}
	if metrics, err = s.metricsAddress("stock"); err != nil {
		return err
	}
	s.settings["sales"] = append(s.settings["sales"], "RESERVATIONS_URL=http://"+metrics+"/reservations")
	s.settings["gateway"] = append(s.settings["gateway"], "AUTH_URL=http://"+s.address("auth"),
		"SALES_URL=http://"+s.address("sales"), "STOCK_URL=http://"+s.address("stock"))
	return nil
}

func (s *System) address(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addresses[name]
}
