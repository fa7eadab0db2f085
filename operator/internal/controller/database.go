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

// reconcileDatabase reconciles the MySQL server, one schema for each service that needs
// one, and two accounts for each schema.
func (r *reconciliation) reconcileDatabase(ctx context.Context) (phaseResult, error) {
	server, err := r.mysqlServer(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	schemas, secrets, err := r.ensureAccountSecrets(ctx, server)
	if err != nil {
		return phaseResult{}, err
	}
	if r.stack.Spec.MySQL.Embedded != nil {
		if state, err := r.applyEmbeddedServer(ctx, charts.MySQL, mysqlValues(r.stack, r.options)); err != nil {
			return phaseResult{}, err
		} else if !state.rolledOut {
			return notReady("MySQL is", state)
		}
	}
	desiredHash, err := hashJSON(r.stack.Generation, server.Address(), server.Username, server.Password, server.TLS, schemas)
	if err != nil {
		return phaseResult{}, err
	}
	if !r.observations.isCurrent(r.stack.UID, "database", desiredHash) || !allProvisioned(secrets) {
		if err := r.healMySQL(ctx, server, schemas, secrets); err != nil {
			return phaseResult{}, err
		}
		r.observations.record(r.stack.UID, "database", desiredHash, r.resyncDelay())
	}
	return phaseReady("%d schemas with two accounts each are provisioned at %s", len(schemas), server.Address())
}

// mysqlServer returns the settings for an administrator's connection.
func (r *reconciliation) mysqlServer(ctx context.Context) (mysql.Server, error) {
	if external := r.stack.Spec.MySQL.External; external != nil {
		admin, err := r.readSecret(ctx, "spec.mysql.external.adminSecretRef", external.AdminSecretRef.Name, "username", "password")
		if err != nil {
			return mysql.Server{}, err
		}
		return mysql.Server{
			Host: external.Host, Port: external.Port, TLS: tlsSetting(external.TLS.Mode), Dial: r.options.Dial,
			Username: admin["username"], Password: admin["password"],
		}, nil
	}
	secret, err := r.ensureSecret(ctx, charts.MySQL, objectName(r.stack, "mysql-root"), func(data secretData) error {
		data.set("username", "root")
		return data.generate("password")
	})
	if err != nil {
		return mysql.Server{}, err
	}
	if r.stack.Spec.MySQL.Embedded.Exporter != nil {
		// The server sets the account's password when it starts, because only
		// connections from its own pod may use the account.
		if _, err := r.ensureSecret(ctx, charts.MySQL, objectName(r.stack, "mysql-exporter"), func(data secretData) error {
			return data.generate("password")
		}); err != nil {
			return mysql.Server{}, err
		}
	}
	return mysql.Server{
		Host: r.serviceHost(charts.MySQL), Port: mysqlPort, TLS: "false", Dial: r.options.Dial,
		Username: string(secret.Data["username"]), Password: string(secret.Data["password"]),
	}, nil
}

// serviceHost returns the host name of a component's Service, which resolves in every
// namespace.
func (r *reconciliation) serviceHost(component string) string {
	return objectName(r.stack, component) + "." + r.stack.Namespace + ".svc"
}

// tlsSetting returns the TLS setting of the MySQL driver for a mode of MySQLTLS.
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

// ensureAccountSecrets ensures the Secrets of all MySQL accounts. It returns the desired
// schemas with the passwords, and the Secrets by the name of their schema.
func (r *reconciliation) ensureAccountSecrets(ctx context.Context, server mysql.Server) ([]mysql.Schema, map[string][]*corev1.Secret, error) {
	var all []mysql.Schema
	secrets := map[string][]*corev1.Secret{}
	for _, service := range schemaServices {
		schema := desiredSchema(r.stack, service)
		for i, secretName := range accountSecretNames(r.stack, service) {
			account := &schema.Accounts[i]
			secret, err := r.ensureSecret(ctx, service, secretName, func(data secretData) error {
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

// healMySQL corrects differences between the observed and the desired schemas, and marks
// each Secret whose account exists. An embedded server belongs to the stack, so everything
// on it is adopted.
func (r *reconciliation) healMySQL(ctx context.Context, server mysql.Server, schemas []mysql.Schema, secrets map[string][]*corev1.Secret) (err error) {
	started := time.Now()
	defer func() { observeCall("mysql", started, err) }()
	admin, err := mysql.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	adopt := r.stack.Spec.Adopt || r.stack.Spec.MySQL.Embedded != nil
	for _, schema := range schemas {
		result, err := admin.Ensure(ctx, schema, r.owner, adopt)
		r.recordExternalChanges(ctx, v1alpha1.ConditionDatabaseReady, systemMySQL, result.Changes)
		if err != nil {
			return fmt.Errorf("schema %s: %w", schema.Name, err)
		}
		for _, secret := range secrets[schema.Name] {
			if err := r.markProvisioned(ctx, secret, result.Incarnation); err != nil {
				return err
			}
		}
	}
	return nil
}

// allProvisioned reports whether the accounts of all Secrets exist.
func allProvisioned(secrets map[string][]*corev1.Secret) bool {
	for _, group := range secrets {
		for _, secret := range group {
			if secret.Annotations[provisionedAnnotation] == "" {
				return false
			}
		}
	}
	return true
}
