package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	schemas, accounts, err := r.ensureSchemaAccounts(ctx, server)
	if err != nil {
		return phaseResult{}, err
	}
	if r.stack.Spec.MySQL.Embedded != nil {
		if state, err := r.applyEmbeddedServer(ctx, charts.MySQL, r.admins[systemMySQL], r.stack.Spec.MySQL.Embedded.Storage.Size, mysqlValues(r.stack, r.options)); err != nil {
			return phaseResult{}, err
		} else if !state.rolledOut {
			return notReady("MySQL is", state)
		}
	}
	desiredHash, err := hashJSON(r.stack.Generation, server.Address(), server.Username, server.Password, server.NextPassword, server.TLS, r.authorities[charts.MySQL], schemas)
	if err != nil {
		return phaseResult{}, err
	}
	if !r.observations.isCurrent(r.stack.UID, "database", desiredHash) || !allProvisioned(accounts) {
		if err := r.healMySQL(ctx, server, schemas, accounts); err != nil {
			return phaseResult{}, err
		}
		r.observations.record(r.stack.UID, "database", desiredHash, r.resyncDelay())
	}
	return phaseReady("%d schemas with two accounts each are provisioned at %s", len(schemas), server.Address())
}

// mysqlServer returns the settings for an administrator's connection.
func (r *reconciliation) mysqlServer(ctx context.Context) (mysql.Server, error) {
	if external := r.stack.Spec.MySQL.External; external != nil {
		username, password, err := r.readAdminSecret(ctx, "spec.mysql.external.adminSecretRef", external.AdminSecretRef.Name)
		if err != nil {
			return mysql.Server{}, err
		}
		authorities, err := r.readAuthorities(ctx, charts.MySQL)
		if err != nil {
			return mysql.Server{}, err
		}
		return mysql.Server{
			Host: external.Host, Port: external.Port, TLS: tlsSetting(external.TLS.Mode), Authorities: authorities, Dial: r.options.Dial,
			Username: username, Password: password,
		}, nil
	}
	secret, err := r.ensureAdminSecret(ctx, systemMySQL, charts.MySQL, "mysql-root", "root")
	if err != nil {
		return mysql.Server{}, err
	}
	if r.stack.Spec.MySQL.Embedded.Exporter != nil {
		// The server sets the account's password when it starts, because only
		// connections from its own pod may use the account.
		if _, err := r.ensureSecret(ctx, charts.MySQL, objectName(r.stack, "mysql-exporter"), func(c secretContent) error {
			return c.generate("password")
		}); err != nil {
			return mysql.Server{}, err
		}
	}
	return mysql.Server{
		Host: r.serviceHost(charts.MySQL), Port: mysqlPort, TLS: "false", Dial: r.options.Dial,
		Username: string(secret.Data["username"]), Password: string(secret.Data["password"]),
		NextPassword: string(secret.Data[nextPassword]),
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

// ensureSchemaAccounts ensures the Secrets of all MySQL accounts. It returns the desired
// schemas and, in the same order, the accounts of each.
func (r *reconciliation) ensureSchemaAccounts(ctx context.Context, server mysql.Server) ([]mysql.Schema, [][]accountState, error) {
	var all []mysql.Schema
	var accounts [][]accountState
	for _, service := range schemaServices {
		schema := mysql.Schema{Name: desiredSchema(r.stack, service).Name}
		var states []accountState
		for _, purpose := range schemaPurposes {
			state, err := r.ensureAccount(ctx, pairedAccount{
				service: service, secret: objectName(r.stack, service+"-"+purpose.secret), names: purpose.accountNames(schema.Name),
				connection: func(username, password string) (string, string) {
					return "dsn", server.DSN(username, password, schema.Name)
				},
			})
			if err != nil {
				return nil, nil, err
			}
			for _, login := range state.Logins {
				schema.Accounts = append(schema.Accounts, mysql.Account{
					Name: login.username, Password: login.password, Privileges: purpose.privileges,
				})
			}
			schema.Unused = append(schema.Unused, state.Unused...)
			states = append(states, state)
		}
		all, accounts = append(all, schema), append(accounts, states)
	}
	return all, accounts, nil
}

// healMySQL corrects differences between the observed and the desired schemas, marks each
// Secret whose account exists, and continues rotations. An embedded server belongs to the
// stack, so everything on it is adopted.
func (r *reconciliation) healMySQL(ctx context.Context, server mysql.Server, schemas []mysql.Schema, accounts [][]accountState) (err error) {
	started := time.Now()
	defer func() { observeCall("mysql", started, err) }()
	admin, err := mysql.Connect(ctx, server)
	if err != nil {
		return explainCertificate(charts.MySQL, err)
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	if server.NextPassword != "" {
		if err := admin.SetAdminPassword(ctx, server.NextPassword); err != nil {
			return err
		}
		if err := r.switchAdmin(ctx, systemMySQL, r.admins[systemMySQL]); err != nil {
			return err
		}
	}
	adopt := r.adoption(ctx, r.stack.Spec.MySQL.Embedded != nil)
	if err := r.checkServerHasData(ctx, admin, server, schemas, accounts); err != nil {
		return err
	}
	for i, schema := range schemas {
		result, err := admin.Ensure(ctx, schema, r.owner, adopt)
		r.recordExternalChanges(ctx, v1alpha1.ConditionDatabaseReady, systemMySQL, result.Changes)
		if err != nil {
			return fmt.Errorf("schema %s: %w", schema.Name, err)
		}
		if err := r.markProvisioned(ctx, accounts[i], result.Incarnation); err != nil {
			return err
		}
		if r.stack.Spec.MySQL.External != nil {
			if err := r.recordServer(ctx, accounts[i], server.Address()); err != nil {
				return err
			}
		}
	}
	return r.switchAccounts(ctx, systemMySQL, slices.Concat(accounts...))
}

// checkServerHasData returns an error if the stack refers to another external server than
// before, and that has not all schemas: the services would start without their data.
func (r *reconciliation) checkServerHasData(ctx context.Context, admin *mysql.Admin, server mysql.Server, schemas []mysql.Schema, accounts [][]accountState) error {
	if r.stack.Spec.MySQL.External == nil {
		return nil
	}
	for i, schema := range schemas {
		for _, account := range accounts[i] {
			before := account.Secret.Annotations[serverAnnotation]
			if before == "" || before == server.Address() {
				continue
			}
			exists, err := admin.Exists(ctx, schema)
			if err != nil {
				return err
			}
			if !exists {
				return &invalidInputError{fmt.Sprintf("spec.mysql.external refers to %s, which has no schema %s of the stack, but its data is at %s: "+
					"copy the schemas with all their tables first, or set the server back", server.Address(), schema.Name, before)}
			}
		}
	}
	return nil
}

// recordServer records in the Secrets which external server has the data.
func (r *reconciliation) recordServer(ctx context.Context, accounts []accountState, address string) error {
	for _, account := range accounts {
		if err := r.updateSecret(ctx, account.Secret, func(c secretContent) error {
			c.annotations[serverAnnotation] = address
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// allProvisioned reports whether all accounts exist, and no rotation has to continue.
func allProvisioned(accounts [][]accountState) bool {
	for _, state := range slices.Concat(accounts...) {
		if state.Secret.Annotations[provisionedAnnotation] == "" || state.isRotating() {
			return false
		}
	}
	return true
}
