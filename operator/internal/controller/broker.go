package controller

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
	"ecommerce-stack.dev/services/event"
)

// amqpEndpoint is the AMQP endpoint that services connect to.
type amqpEndpoint struct {
	address string
	secure  bool
}

// reconcileBroker reconciles the RabbitMQ broker, the stack's virtual host with its
// topology, and one user for each service that uses the broker.
func (r *reconciliation) reconcileBroker(ctx context.Context) (phaseResult, error) {
	server, endpoint, err := r.rabbitmqServer(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	vhost, users, err := r.ensureUsers(ctx, endpoint)
	if err != nil {
		return phaseResult{}, err
	}
	state := workloadStatus{rolledOut: true}
	if r.stack.Spec.RabbitMQ.Embedded != nil {
		if state, err = r.applyEmbeddedServer(ctx, charts.RabbitMQ, r.admins[systemRabbitMQ], r.stack.Spec.RabbitMQ.Embedded.Storage.Size, rabbitmqValues(r.stack, r.options)); err != nil {
			return phaseResult{}, err
		}
		// Queues are created when all nodes are ready, so that each queue gets a member
		// on every node. A cluster that loses a node afterwards is still usable, so its
		// topology is observed and corrected.
		if state.ready == 0 || !state.rolledOut && !allProvisioned(users) {
			return notReady("RabbitMQ is", state)
		}
	}
	desiredHash, err := hashJSON(r.stack.Generation, server.URL, server.Username, server.Password, server.NextPassword, r.authorities[charts.RabbitMQ], vhost)
	if err != nil {
		return phaseResult{}, err
	}
	if !r.observations.isCurrent(r.stack.UID, "broker", desiredHash) || !allProvisioned(users) {
		problems, err := r.healRabbitMQ(ctx, server, endpoint, vhost, users)
		if err != nil {
			return phaseResult{}, err
		}
		if len(problems) > 0 {
			embedded := r.stack.Spec.RabbitMQ.Embedded != nil
			if embedded && state.rolledOut {
				if err := r.restartStrandedBroker(ctx, problems); err != nil {
					return phaseResult{}, err
				}
			}
			return phaseResult{waiting: true, reason: reasonQueuesDegraded, message: describeQueueProblems(vhost.Name, problems, !embedded)}, nil
		}
		r.observations.record(r.stack.UID, "broker", desiredHash, r.resyncDelay())
	}
	if !state.rolledOut {
		// The queues are observed again when all nodes are back.
		r.observations.expire(r.stack.UID, "broker")
		return notReady("RabbitMQ is", state)
	}
	return phaseReady("Virtual host %s with %d users is provisioned at %s", vhost.Name, len(brokerServices), endpoint.address)
}

// rabbitmqServer returns the settings for an administrator's access, and the endpoint that
// services connect to.
func (r *reconciliation) rabbitmqServer(ctx context.Context) (rabbitmq.Server, amqpEndpoint, error) {
	if external := r.stack.Spec.RabbitMQ.External; external != nil {
		username, password, err := r.readAdminSecret(ctx, "spec.rabbitmq.external.adminSecretRef", external.AdminSecretRef.Name)
		if err != nil {
			return rabbitmq.Server{}, amqpEndpoint{}, err
		}
		authorities, err := r.readAuthorities(ctx, charts.RabbitMQ)
		if err != nil {
			return rabbitmq.Server{}, amqpEndpoint{}, err
		}
		return rabbitmq.Server{
				URL: external.ManagementURL, Username: username, Password: password, Transport: r.newTransport(authorities),
			}, amqpEndpoint{
				address: net.JoinHostPort(external.Host, strconv.Itoa(int(external.Port))), secure: external.TLS.Mode == "Verify",
			}, nil
	}
	secret, err := r.ensureAdminSecret(ctx, systemRabbitMQ, charts.RabbitMQ, "rabbitmq-admin", "admin", "erlang-cookie")
	if err != nil {
		return rabbitmq.Server{}, amqpEndpoint{}, err
	}
	host := r.serviceHost(charts.RabbitMQ)
	return rabbitmq.Server{
		URL:      "http://" + net.JoinHostPort(host, managementPort),
		Username: string(secret.Data["username"]), Password: string(secret.Data["password"]),
		NextPassword: string(secret.Data[nextPassword]), Transport: r.newTransport(nil),
	}, amqpEndpoint{address: net.JoinHostPort(host, strconv.Itoa(amqpPort))}, nil
}

// newTransport returns a transport that closes idle connections early, because the next
// reconciliation usually starts a minute later. HTTPS accepts certificates of the given
// authorities, the system's if nil.
func (r *reconciliation) newTransport(authorities *x509.CertPool) http.RoundTripper {
	dial := r.options.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	}
	return &http.Transport{
		DialContext: dial, IdleConnTimeout: time.Second, TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS12},
	}
}

// ensureUsers ensures the Secrets of all RabbitMQ users. It returns the desired virtual host,
// and the users of each service.
func (r *reconciliation) ensureUsers(ctx context.Context, endpoint amqpEndpoint) (rabbitmq.VHost, [][]accountState, error) {
	vhost := rabbitmq.VHost{Name: desiredVHost(r.stack).Name}
	var users [][]accountState
	for _, service := range brokerServices {
		state, err := r.ensureAccount(ctx, pairedAccount{
			service: service, secret: objectName(r.stack, service+"-rabbitmq"), names: userNames(r.stack, service),
			connection: func(username, password string) (string, string) {
				return "url", rabbitmq.AMQPURL(endpoint.secure, endpoint.address, username, password, vhost.Name)
			},
		})
		if err != nil {
			return vhost, nil, err
		}
		for _, login := range state.Logins {
			vhost.Users = append(vhost.Users, rabbitmq.User{
				Name: login.username, Password: login.password, Permission: event.Permissions[service],
			})
		}
		vhost.Unused = append(vhost.Unused, state.Unused...)
		users = append(users, []accountState{state})
	}
	return vhost, users, nil
}

// healRabbitMQ corrects differences between the observed and the desired virtual host, marks
// each Secret whose user exists, and continues rotations. It returns what is wrong with the
// members of queues, which it cannot correct. An embedded broker belongs to the stack, so
// everything on it is adopted.
func (r *reconciliation) healRabbitMQ(ctx context.Context, server rabbitmq.Server, endpoint amqpEndpoint, vhost rabbitmq.VHost, users [][]accountState) (problems []rabbitmq.QueueProblem, err error) {
	started := time.Now()
	defer func() { observeCall("rabbitmq", started, err) }()
	admin, err := rabbitmq.Connect(server)
	if err != nil {
		return nil, explainCertificate(charts.RabbitMQ, err)
	}
	if server.NextPassword != "" {
		if err := admin.SetAdminPassword(server.NextPassword); err != nil {
			return nil, err
		}
		if err := r.switchAdmin(ctx, systemRabbitMQ, r.admins[systemRabbitMQ]); err != nil {
			return nil, err
		}
	}
	all := slices.Concat(users...)
	if err := r.checkBrokerHasVHost(admin, endpoint, vhost.Name, all); err != nil {
		return nil, err
	}
	changes, err := admin.Ensure(vhost, r.owner, r.adoption(ctx, r.stack.Spec.RabbitMQ.Embedded != nil))
	r.recordExternalChanges(ctx, v1alpha1.ConditionBrokerReady, systemRabbitMQ, changes)
	if err != nil {
		return nil, err
	}
	if err := r.markProvisioned(ctx, all, vhost.Name); err != nil {
		return nil, err
	}
	if r.stack.Spec.RabbitMQ.External != nil {
		if err := r.recordServer(ctx, all, endpoint.address); err != nil {
			return nil, err
		}
	}
	if err := r.switchAccounts(ctx, systemRabbitMQ, all); err != nil {
		return nil, err
	}
	desiredMembers := 0
	if embedded := r.stack.Spec.RabbitMQ.Embedded; embedded != nil {
		desiredMembers = int(embedded.Replicas)
	}
	return admin.QueueProblems(vhost.Name, desiredMembers)
}

// checkBrokerHasVHost returns an error if the stack refers to another external broker than
// before, and that has not the virtual host: the events in the queues would be left behind.
func (r *reconciliation) checkBrokerHasVHost(admin *rabbitmq.Admin, endpoint amqpEndpoint, vhost string, users []accountState) error {
	if r.stack.Spec.RabbitMQ.External == nil {
		return nil
	}
	for _, user := range users {
		before := user.Secret.Annotations[serverAnnotation]
		if before == "" || before == endpoint.address {
			continue
		}
		exists, err := admin.Exists(vhost)
		if err != nil {
			return err
		}
		if !exists {
			return &invalidInputError{fmt.Sprintf("spec.rabbitmq.external refers to %s, which has no virtual host %s of the stack, but its events are at %s: "+
				"import the definitions of the virtual host first, or set the broker back", endpoint.address, vhost, before)}
		}
	}
	return nil
}
