// Package rabbitmq implements the provisioning of a stack's virtual host on a RabbitMQ
// broker: its users, their permissions, and the topology that services/event defines. It
// compares the observed with the desired state and changes only the difference.
package rabbitmq

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"

	"ecommerce-stack.dev/operator/internal/serverversion"
)

// timeout limits one request to the management API.
const timeout = 10 * time.Second

// Server holds the settings for an administrator's access to the management API.
type Server struct {
	URL      string
	Username string
	Password string
	// NextPassword is tried if the broker refuses Password, unless it is empty: a rotation
	// of the administrator's password may have been interrupted.
	NextPassword string
	// Transport replaces the default transport unless it is nil.
	Transport http.RoundTripper
}

// Admin is an administrator's client of the management API.
type Admin struct {
	server   Server
	client   *rabbithole.Client
	username string
}

// ErrAccessDenied is returned if the credentials are wrong or lack rights. Only a person can
// correct them.
var ErrAccessDenied = errors.New("access denied")

// Connect returns a client. It returns an error if the management API cannot be reached, and
// ErrAccessDenied if the user does not exist, has another password, or does not have the tag
// administrator, and a *serverversion.TooOldError if the broker is too old.
func Connect(server Server) (*Admin, error) {
	client, err := logIn(server, server.Password)
	if err != nil && server.NextPassword != "" {
		var nextErr error
		if client, nextErr = logIn(server, server.NextPassword); nextErr == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, err
	}
	overview, err := client.Overview()
	if err == nil {
		err = serverversion.Check("RabbitMQ", overview.RabbitMQVersion, requiredVersion)
	}
	if err != nil {
		return nil, fmt.Errorf("RabbitMQ at %s: %w", server.URL, err)
	}
	return &Admin{server: server, client: client, username: server.Username}, nil
}

// requiredVersion is the first version whose quorum queues expire messages and pass them on at
// least once (https://www.rabbitmq.com/blog/2022/03/29/at-least-once-dead-lettering).
const requiredVersion = "3.10.0"

func logIn(server Server, password string) (*rabbithole.Client, error) {
	client, err := rabbithole.NewClient(server.URL, server.Username, password)
	if err != nil {
		return nil, fmt.Errorf("parse the URL of the RabbitMQ management API: %w", err)
	}
	client.SetTimeout(timeout)
	if server.Transport != nil {
		client.SetTransport(server.Transport)
	}
	who, err := client.Whoami()
	// The client has no type for this response, whose body is not an error of RabbitMQ.
	if err != nil && strings.Contains(err.Error(), "401 Unauthorized") {
		return nil, fmt.Errorf("connect to the RabbitMQ management API at %s as %s: %w: correct the user and the password in the Secret",
			server.URL, server.Username, ErrAccessDenied)
	}
	if err != nil {
		return nil, fmt.Errorf("connect to the RabbitMQ management API at %s as %s: %w", server.URL, server.Username, err)
	}
	if !slices.Contains(who.Tags, administrator) {
		return nil, fmt.Errorf("%w: RabbitMQ user %s at %s lacks the tag administrator: add it with "+
			"`rabbitmqctl set_user_tags %s administrator`", ErrAccessDenied, server.Username, server.URL, server.Username)
	}
	return client, nil
}

// administrator is the tag of users that may manage the broker.
const administrator = "administrator"

// SetAdminPassword sets the password of the administrator that the client belongs to, and
// reports an error unless a login with it succeeds.
func (a *Admin) SetAdminPassword(password string) error {
	if err := closeBody(a.client.PutUser(a.username, rabbithole.UserSettings{
		Name: a.username, Tags: rabbithole.UserTags{administrator},
		PasswordHash:     rabbithole.Base64EncodedSaltedPasswordHashSHA256(password),
		HashingAlgorithm: rabbithole.HashingAlgorithmSHA256,
	})); err != nil {
		return fmt.Errorf("set the password of %s: %w", a.username, err)
	}
	client, err := logIn(a.server, password)
	if err != nil {
		return err
	}
	a.client = client
	return nil
}

// AMQPURL returns the URL with which a service connects. host is host:port.
func AMQPURL(secure bool, host, username, password, vhost string) string {
	address := url.URL{
		Scheme: "amqp", User: url.UserPassword(username, password), Host: host,
		Path: "/" + vhost, RawPath: "/" + url.PathEscape(vhost),
	}
	if secure {
		address.Scheme = "amqps"
	}
	return address.String()
}

// closeBody closes the body of a response that has no content of interest.
func closeBody(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func isNotFound(err error) bool {
	var response rabbithole.ErrorResponse
	return errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

func isServerError(err error) bool {
	var response rabbithole.ErrorResponse
	return errors.As(err, &response) && response.StatusCode >= http.StatusInternalServerError
}

// ignoreNotFound returns nil without an error if err says that the object does not exist.
func ignoreNotFound[T any](object *T, err error) (*T, error) {
	if isNotFound(err) {
		return nil, nil
	}
	return object, err
}
