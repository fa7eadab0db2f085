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
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
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

// Connect returns a client. It returns an error if the management API cannot be reached, or
// if the user does not have the tag administrator.
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
	return &Admin{server: server, client: client, username: server.Username}, nil
}

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
	if err != nil {
		return nil, fmt.Errorf("connect to the RabbitMQ management API at %s as %s: %w", server.URL, server.Username, err)
	}
	if !slices.Contains(who.Tags, administrator) {
		return nil, fmt.Errorf("RabbitMQ user %s at %s lacks the tag administrator: add it with "+
			"`rabbitmqctl set_user_tags %s administrator`", server.Username, server.URL, server.Username)
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

// ignoreNotFound returns nil without an error if err says that the object does not exist.
func ignoreNotFound[T any](object *T, err error) (*T, error) {
	if isNotFound(err) {
		return nil, nil
	}
	return object, err
}
