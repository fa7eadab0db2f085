package controller

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
)

// amqp is where services reach the broker.
type amqp struct {
	address string
	secure  bool
}

// broker sees to the RabbitMQ broker, the stack's virtual host with its topology, and a
// user for each service that has one.
func (p *pass) broker(ctx context.Context) (outcome, error) {
	server, endpoint, err := p.rabbitmqServer(ctx)
	if err != nil {
		return outcome{}, err
	}
	vhost, secrets, err := p.users(ctx, endpoint)
	if err != nil {
		return outcome{}, err
	}
	if p.stack.Spec.RabbitMQ.Embedded != nil {
		ready, desired, err := p.embedded(ctx, charts.RabbitMQ, rabbitmqValues(p.stack, p.options))
		if err != nil {
			return outcome{}, err
		}
		// Queues are made when all nodes are there, so that each has its members; a
		// cluster that then loses a node goes on.
		if ready == 0 || ready < desired && !provisioned(secrets) {
			return waiting("RabbitMQ is starting: %d of %d pods are ready", ready, desired)
		}
	}
	asked, err := fingerprint(p.stack.Generation, server.URL, server.Username, server.Password, vhost)
	if err != nil {
		return outcome{}, err
	}
	if !p.checks.fresh(p.stack.UID, "broker", asked) || !provisioned(secrets) {
		if err := p.healBroker(ctx, server, vhost, secrets); err != nil {
			return outcome{}, err
		}
		p.checks.passed(p.stack.UID, "broker", asked, p.jittered())
	}
	return done("virtual host %s with %d users at %s", vhost.Name, len(vhost.Users), endpoint.address)
}

// rabbitmqServer is the broker as its administrator and as services reach it.
func (p *pass) rabbitmqServer(ctx context.Context) (rabbitmq.Server, amqp, error) {
	if external := p.stack.Spec.RabbitMQ.External; external != nil {
		admin, err := p.given(ctx, "spec.rabbitmq.external.adminSecretRef", external.AdminSecretRef.Name, "username", "password")
		if err != nil {
			return rabbitmq.Server{}, amqp{}, err
		}
		return rabbitmq.Server{
				URL: external.ManagementURL, Username: admin["username"], Password: admin["password"], Transport: p.transport(),
			}, amqp{
				address: net.JoinHostPort(external.Host, strconv.Itoa(int(external.Port))), secure: external.TLS.Mode == "Verify",
			}, nil
	}
	secret, err := p.secret(ctx, charts.RabbitMQ, name(p.stack, "rabbitmq-admin"), func(data secretData) error {
		data.set("username", "admin")
		if err := data.generate("erlang-cookie"); err != nil {
			return err
		}
		return data.generate("password")
	})
	if err != nil {
		return rabbitmq.Server{}, amqp{}, err
	}
	host := p.host(charts.RabbitMQ)
	return rabbitmq.Server{
		URL:      "http://" + net.JoinHostPort(host, managementPort),
		Username: string(secret.Data["username"]), Password: string(secret.Data["password"]), Transport: p.transport(),
	}, amqp{address: net.JoinHostPort(host, strconv.Itoa(amqpPort))}, nil
}

// transport keeps no connection after a pass, because the next one is a minute away.
func (p *pass) transport() http.RoundTripper {
	dial := p.options.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return &http.Transport{DialContext: dial, IdleConnTimeout: time.Second, TLSHandshakeTimeout: 10 * time.Second}
}

// users sees to the Secrets of all users and puts their passwords into the virtual host.
func (p *pass) users(ctx context.Context, endpoint amqp) (rabbitmq.VHost, map[string][]*corev1.Secret, error) {
	vhost := virtualHost(p.stack)
	secrets := map[string][]*corev1.Secret{}
	for i, service := range brokerServices {
		user := &vhost.Users[i]
		secret, err := p.secret(ctx, service, name(p.stack, service+"-rabbitmq"), func(data secretData) error {
			data.set("username", user.Name)
			if err := data.generate("password"); err != nil {
				return err
			}
			user.Password = string(data["password"])
			data.set("url", rabbitmq.URL(endpoint.secure, endpoint.address, user.Name, user.Password, vhost.Name))
			return nil
		})
		if err != nil {
			return vhost, nil, err
		}
		secrets[service] = append(secrets[service], secret)
	}
	return vhost, secrets, nil
}

// healBroker compares the broker with what it should be, and says on each Secret that
// its user is there. The embedded broker is the stack's own, with all that is on it.
func (p *pass) healBroker(ctx context.Context, server rabbitmq.Server, vhost rabbitmq.VHost, secrets map[string][]*corev1.Secret) (err error) {
	started := time.Now()
	defer func() { observeCall("rabbitmq", started, err) }()
	admin, err := rabbitmq.Connect(server)
	if err != nil {
		return err
	}
	changes, err := admin.Ensure(vhost, p.owner, p.stack.Spec.Adopt || p.stack.Spec.RabbitMQ.Embedded != nil)
	p.changed(ctx, v1alpha1.ConditionBrokerReady, "RabbitMQ", changes)
	if err != nil {
		return err
	}
	for _, group := range secrets {
		for _, secret := range group {
			if err := p.annotate(ctx, secret, vhost.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
