// Package rabbitmq makes and heals the virtual host of a stack on a RabbitMQ broker:
// its users, their permissions, and the topology that services/event defines. It
// observes, compares, and changes only the difference.
package rabbitmq

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	rabbithole "github.com/michaelklishin/rabbit-hole/v3"
)

// timeout of one call of the management API.
const timeout = 10 * time.Second

// Server says how to reach the management API as an administrator.
type Server struct {
	URL      string
	Username string
	Password string
	// Transport replaces the default one when set.
	Transport http.RoundTripper
}

// Admin is an administrator's client.
type Admin struct {
	client   *rabbithole.Client
	username string
}

// Connect checks that the account is an administrator's.
func Connect(server Server) (*Admin, error) {
	client, err := rabbithole.NewClient(server.URL, server.Username, server.Password)
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
	for _, tag := range who.Tags {
		if tag == "administrator" {
			return &Admin{client: client, username: server.Username}, nil
		}
	}
	return nil, fmt.Errorf("RabbitMQ user %s at %s lacks the tag administrator: add it with "+
		"`rabbitmqctl set_user_tags %s administrator`", server.Username, server.URL, server.Username)
}

// URL is what a service connects to. host is host:port.
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

// call closes the answer of a change.
func closeBody(response *http.Response, err error) error {
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func isNotFound(err error) bool {
	var answer rabbithole.ErrorResponse
	return errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound
}

// ignoreNotFound turns "no such thing" into nil.
func ignoreNotFound[T any](thing *T, err error) (*T, error) {
	if isNotFound(err) {
		return nil, nil
	}
	return thing, err
}
