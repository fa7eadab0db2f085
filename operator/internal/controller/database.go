package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/mysql"
)

// database sees to the MySQL server, a schema for each service that has one, and two
// accounts for each schema.
func (p *pass) database(ctx context.Context) (outcome, error) {
	server, err := p.mysqlServer(ctx)
	if err != nil {
		return outcome{}, err
	}
	schemas, secrets, err := p.accounts(ctx, server)
	if err != nil {
		return outcome{}, err
	}
	if p.stack.Spec.MySQL.Embedded != nil {
		if ready, desired, err := p.embedded(ctx, charts.MySQL, mysqlValues(p.stack, p.options)); err != nil {
			return outcome{}, err
		} else if ready < desired {
			return waiting("MySQL is starting: %d of %d pods are ready", ready, desired)
		}
	}
	asked, err := fingerprint(p.stack.Generation, server.Address(), server.Username, server.Password, server.TLS, schemas)
	if err != nil {
		return outcome{}, err
	}
	if !p.checks.fresh(p.stack.UID, "database", asked) || !provisioned(secrets) {
		if err := p.heal(ctx, server, schemas, secrets); err != nil {
			return outcome{}, err
		}
		p.checks.passed(p.stack.UID, "database", asked, p.jittered())
	}
	return done("%d schemas with two accounts each at %s", len(schemas), server.Address())
}

// mysqlServer is the server as its administrator reaches it.
func (p *pass) mysqlServer(ctx context.Context) (mysql.Server, error) {
	if external := p.stack.Spec.MySQL.External; external != nil {
		admin, err := p.given(ctx, "spec.mysql.external.adminSecretRef", external.AdminSecretRef.Name, "username", "password")
		if err != nil {
			return mysql.Server{}, err
		}
		return mysql.Server{
			Host: external.Host, Port: external.Port, TLS: tlsSetting(external.TLS.Mode), Dial: p.options.Dial,
			Username: admin["username"], Password: admin["password"],
		}, nil
	}
	secret, err := p.secret(ctx, charts.MySQL, name(p.stack, "mysql-root"), func(data secretData) error {
		data.set("username", "root")
		return data.generate("password")
	})
	if err != nil {
		return mysql.Server{}, err
	}
	return mysql.Server{
		Host: p.host(charts.MySQL), Port: mysqlPort, TLS: "false", Dial: p.options.Dial,
		Username: string(secret.Data["username"]), Password: string(secret.Data["password"]),
	}, nil
}

// host of an embedded server's Service, as seen from every namespace.
func (p *pass) host(component string) string {
	return name(p.stack, component) + "." + p.stack.Namespace + ".svc"
}

func tlsSetting(mode string) string {
	switch mode {
	case "Verify":
		return "true"
	case "SkipVerify":
		return "skip-verify"
	default:
		return "false"
	}
}

// accounts sees to the Secrets of all accounts and puts their passwords into the schemas.
func (p *pass) accounts(ctx context.Context, server mysql.Server) ([]mysql.Schema, map[string][]*corev1.Secret, error) {
	var all []mysql.Schema
	secrets := map[string][]*corev1.Secret{}
	for _, service := range schemaServices {
		schema := mysqlSchema(p.stack, service)
		for i, secretName := range accountSecrets(p.stack, service) {
			account := &schema.Accounts[i]
			secret, err := p.secret(ctx, service, secretName, func(data secretData) error {
				data.set("username", account.Name)
				if err := data.generate("password"); err != nil {
					return err
				}
				account.Password = string(data["password"])
				data.set("dsn", server.DSN(account.Name, account.Password, schema.Name))
				return nil
			})
			if err != nil {
				return nil, nil, err
			}
			secrets[schema.Name] = append(secrets[schema.Name], secret)
		}
		all = append(all, schema)
	}
	return all, secrets, nil
}

// heal compares the server with what it should be, and says on each Secret that its
// account is there. The embedded server is the stack's own, with all that is on it.
func (p *pass) heal(ctx context.Context, server mysql.Server, schemas []mysql.Schema, secrets map[string][]*corev1.Secret) (err error) {
	started := time.Now()
	defer func() { observeCall("mysql", started, err) }()
	admin, err := mysql.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	adopt := p.stack.Spec.Adopt || p.stack.Spec.MySQL.Embedded != nil
	for _, schema := range schemas {
		result, err := admin.Ensure(ctx, schema, p.owner, adopt)
		p.changed(ctx, v1alpha1.ConditionDatabaseReady, "MySQL", result.Changes)
		if err != nil {
			return fmt.Errorf("schema %s: %w", schema.Name, err)
		}
		for _, secret := range secrets[schema.Name] {
			if err := p.annotate(ctx, secret, result.Incarnation); err != nil {
				return err
			}
		}
	}
	return nil
}

func provisioned(secrets map[string][]*corev1.Secret) bool {
	for _, group := range secrets {
		for _, secret := range group {
			if secret.Annotations[provisionedAnnotation] == "" {
				return false
			}
		}
	}
	return true
}
