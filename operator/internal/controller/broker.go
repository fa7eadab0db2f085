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

// amqpEndpoint is where services reach the broker.
type amqpEndpoint struct {
	address string
	secure  bool
}

// broker sees to the RabbitMQ broker, the stack's virtual host with its topology, and a
// user for each service that has one.
func (r *reconciliation) reconcileBroker(ctx context.Context) (phaseResult, error) {
	server, endpoint, err := r.rabbitmqServer(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	vhost, secrets, err := r.ensureUserSecrets(ctx, endpoint)
	if err != nil {
		return phaseResult{}, err
	}
	if r.stack.Spec.RabbitMQ.Embedded != nil {
		ready, desired, err := r.applyEmbeddedServer(ctx, charts.RabbitMQ, rabbitmqValues(r.stack, r.options))
		if err != nil {
			return phaseResult{}, err
		}
		// Queues are made when all nodes are there, so that each has its members; a
		// cluster that then loses a node goes on.
		if ready == 0 || ready < desired && !allProvisioned(secrets) {
			return phaseWaiting("RabbitMQ is starting: %d of %d pods are ready", ready, desired)
		}
	}
	desiredHash, err := hashJSON(r.stack.Generation, server.URL, server.Username, server.Password, vhost)
	if err != nil {
		return phaseResult{}, err
	}
	if !r.observations.isCurrent(r.stack.UID, "broker", desiredHash) || !allProvisioned(secrets) {
		if err := r.healRabbitMQ(ctx, server, vhost, secrets); err != nil {
			return phaseResult{}, err
		}
		r.observations.record(r.stack.UID, "broker", desiredHash, r.resyncDelay())
	}
	return phaseReady("Virtual host %s with %d users is provisioned at %s", vhost.Name, len(vhost.Users), endpoint.address)
}

// rabbitmqServer is the broker as its administrator and as services reach it.
func (r *reconciliation) rabbitmqServer(ctx context.Context) (rabbitmq.Server, amqpEndpoint, error) {
	if external := r.stack.Spec.RabbitMQ.External; external != nil {
		admin, err := r.readSecret(ctx, "spec.rabbitmq.external.adminSecretRef", external.AdminSecretRef.Name, "username", "password")
		if err != nil {
			return rabbitmq.Server{}, amqpEndpoint{}, err
		}
		return rabbitmq.Server{
				URL: external.ManagementURL, Username: admin["username"], Password: admin["password"], Transport: r.newTransport(),
			}, amqpEndpoint{
				address: net.JoinHostPort(external.Host, strconv.Itoa(int(external.Port))), secure: external.TLS.Mode == "Verify",
			}, nil
	}
	secret, err := r.ensureSecret(ctx, charts.RabbitMQ, objectName(r.stack, "rabbitmq-admin"), func(data secretData) error {
		data.set("username", "admin")
		if err := data.generate("erlang-cookie"); err != nil {
			return err
		}
		return data.generate("password")
	})
	if err != nil {
		return rabbitmq.Server{}, amqpEndpoint{}, err
	}
	host := r.serviceHost(charts.RabbitMQ)
	return rabbitmq.Server{
		URL:      "http://" + net.JoinHostPort(host, managementPort),
		Username: string(secret.Data["username"]), Password: string(secret.Data["password"]), Transport: r.newTransport(),
	}, amqpEndpoint{address: net.JoinHostPort(host, strconv.Itoa(amqpPort))}, nil
}

// transport keeps no connection after a pass, because the next one is a minute away.
func (r *reconciliation) newTransport() http.RoundTripper {
	dial := r.options.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return &http.Transport{DialContext: dial, IdleConnTimeout: time.Second, TLSHandshakeTimeout: 10 * time.Second}
}

// users sees to the Secrets of all users and puts their passwords into the virtual host.
func (r *reconciliation) ensureUserSecrets(ctx context.Context, endpoint amqpEndpoint) (rabbitmq.VHost, map[string][]*corev1.Secret, error) {
	vhost := desiredVHost(r.stack)
	secrets := map[string][]*corev1.Secret{}
	for i, service := range brokerServices {
		user := &vhost.Users[i]
		secret, err := r.ensureSecret(ctx, service, objectName(r.stack, service+"-rabbitmq"), func(data secretData) error {
			data.set("username", user.Name)
			if err := data.generate("password"); err != nil {
				return err
			}
			user.Password = string(data["password"])
			data.set("url", rabbitmq.AMQPURL(endpoint.secure, endpoint.address, user.Name, user.Password, vhost.Name))
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
func (r *reconciliation) healRabbitMQ(ctx context.Context, server rabbitmq.Server, vhost rabbitmq.VHost, secrets map[string][]*corev1.Secret) (err error) {
	started := time.Now()
	defer func() { observeCall("rabbitmq", started, err) }()
	admin, err := rabbitmq.Connect(server)
	if err != nil {
		return err
	}
	changes, err := admin.Ensure(vhost, r.owner, r.stack.Spec.Adopt || r.stack.Spec.RabbitMQ.Embedded != nil)
	r.recordExternalChanges(ctx, v1alpha1.ConditionBrokerReady, "RabbitMQ", changes)
	if err != nil {
		return err
	}
	for _, group := range secrets {
		for _, secret := range group {
			if err := r.markProvisioned(ctx, secret, vhost.Name); err != nil {
				return err
			}
		}
	}
	return nil
}
