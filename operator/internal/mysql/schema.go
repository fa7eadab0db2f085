package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"ecommerce-stack.dev/operator/internal/ownership"
)

// markerTable is a table with one row in each schema of a stack. It holds the marker.
const markerTable = "ecommerce_stack_owner"

// Schema is a schema of a stack with the accounts that use it.
type Schema struct {
	Name     string
	Accounts []Account
	// Unused are the names of accounts of the schema that must not exist, such as those
	// that a rotation has replaced.
	Unused []string
}

// Result is the result of Ensure.
type Result struct {
	// Changes describes the changes made, such as `grant INSERT on ... to ...`. It is
	// empty if the schema was already in the desired state.
	Changes []string
	// Incarnation identifies this instance of the schema. It differs after the schema
	// was lost and created again, so that its owner knows to run the migrations again.
	Incarnation string
}

// Ensure brings the schema and its accounts into the desired state. It returns an
// *ownership.ConflictError if the schema or an account exists, is not the owner's, and is not
// adopted.
func (a *Admin) Ensure(ctx context.Context, schema Schema, owner ownership.Owner, adopt ownership.Adoption) (Result, error) {
	var result Result
	if err := a.claim(ctx, schema, owner, adopt, &result); err != nil {
		return result, err
	}
	for _, account := range schema.Accounts {
		changes, err := a.ensureAccount(ctx, schema.Name, account)
		result.Changes = append(result.Changes, changes...)
		if err != nil {
			return result, fmt.Errorf("account %s: %w", account.Name, err)
		}
	}
	for _, name := range schema.Unused {
		exists, err := a.accountExists(ctx, name)
		if err != nil {
			return result, fmt.Errorf("read account %s: %w", name, err)
		}
		if !exists {
			continue
		}
		if err := a.dropAccount(ctx, name); err != nil {
			return result, err
		}
		result.Changes = append(result.Changes, "drop account "+name)
	}
	return result, nil
}

// Exists reports whether a stack has created the schema.
func (a *Admin) Exists(ctx context.Context, schema Schema) (bool, error) {
	marker, _, err := a.marker(ctx, schema.Name)
	if err != nil {
		return false, fmt.Errorf("read the owner of schema %s: %w", schema.Name, err)
	}
	return marker != nil, nil
}

// claim creates the schema if it does not exist and makes its marker name the owner.
func (a *Admin) claim(ctx context.Context, schema Schema, owner ownership.Owner, adopt ownership.Adoption, result *Result) error {
	marker, incarnation, err := a.marker(ctx, schema.Name)
	if err != nil {
		return fmt.Errorf("read the owner of schema %s: %w", schema.Name, err)
	}
	switch {
	case marker == nil:
		return a.create(ctx, schema, owner, adopt, result)
	case marker.UID == owner.UID && !marker.Released:
		result.Incarnation = incarnation
		return nil
	case !marker.Admits(owner):
		adopted, err := adopt(marker)
		if err != nil {
			return err
		}
		if !adopted {
			return &ownership.ConflictError{What: fmt.Sprintf("schema %q", schema.Name), Marker: marker}
		}
	}
	_, err = a.db.ExecContext(ctx, "UPDATE "+markerTableName(schema.Name)+ //nolint:gosec // a quoted name
		" SET uid = ?, namespace = ?, name = ?, released = FALSE WHERE id = 1 AND uid = ?",
		owner.UID, owner.Namespace, owner.Name, marker.UID)
	if err != nil {
		return fmt.Errorf("adopt schema %s: %w", schema.Name, err)
	}
	result.Incarnation = incarnation
	result.Changes = append(result.Changes, fmt.Sprintf("adopt schema %s from %s", schema.Name, marker.Owner))
	return nil
}

// marker returns nil if the schema, the table or the row does not exist.
func (a *Admin) marker(ctx context.Context, schema string) (*ownership.Marker, string, error) {
	var marker ownership.Marker
	var incarnation string
	err := a.db.QueryRowContext(ctx, "SELECT uid, namespace, name, released, incarnation FROM "+
		markerTableName(schema)+" WHERE id = 1").
		Scan(&marker.UID, &marker.Namespace, &marker.Name, &marker.Released, &incarnation)
	if errors.Is(err, sql.ErrNoRows) || isServerError(err, errNoSuchTable) || isServerError(err, errNoSuchSchema) {
		return nil, "", nil
	}
	return &marker, incarnation, err
}

// create claims a schema that has no marker. A schema without tables has no owner: creating
// and marking it are two steps, and the operator may have stopped between them.
func (a *Admin) create(ctx context.Context, schema Schema, owner ownership.Owner, adopt ownership.Adoption, result *Result) error {
	adopted, err := adopt(nil)
	if err != nil {
		return err
	}
	if !adopted {
		if err := a.checkUnclaimed(ctx, schema); err != nil {
			return err
		}
	}
	qualified := markerTableName(schema.Name)
	for _, statement := range []string{
		"CREATE DATABASE IF NOT EXISTS " + identifier(schema.Name) + " CHARACTER SET utf8mb4",
		"CREATE TABLE IF NOT EXISTS " + qualified + ` (
			id TINYINT NOT NULL PRIMARY KEY,
			uid VARCHAR(64) NOT NULL,
			namespace VARCHAR(63) NOT NULL,
			name VARCHAR(63) NOT NULL,
			released BOOLEAN NOT NULL DEFAULT FALSE,
			incarnation CHAR(36) NOT NULL
		)`,
	} {
		if _, err := a.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create schema %s: %w", schema.Name, err)
		}
	}
	// If two stacks claim the schema at the same time, the first row wins.
	if _, err := a.db.ExecContext(ctx, "INSERT IGNORE INTO "+qualified+ //nolint:gosec // a quoted name
		" (id, uid, namespace, name, incarnation) VALUES (1, ?, ?, ?, UUID())",
		owner.UID, owner.Namespace, owner.Name); err != nil {
		return fmt.Errorf("mark schema %s: %w", schema.Name, err)
	}
	marker, incarnation, err := a.marker(ctx, schema.Name)
	if err != nil {
		return fmt.Errorf("read the owner of schema %s: %w", schema.Name, err)
	}
	if marker == nil || marker.UID != owner.UID {
		return &ownership.ConflictError{What: fmt.Sprintf("schema %q", schema.Name), Marker: marker}
	}
	result.Incarnation = incarnation
	result.Changes = append(result.Changes, "create schema "+schema.Name)
	return nil
}

// checkUnclaimed returns an *ownership.ConflictError if the schema has tables, or if an
// account exists with a password that is not the stack's. An unused account is always one
// of others.
func (a *Admin) checkUnclaimed(ctx context.Context, schema Schema) error {
	var tables int
	if err := a.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.TABLES"+
		" WHERE TABLE_SCHEMA = ? AND TABLE_NAME <> ?", schema.Name, markerTable).Scan(&tables); err != nil {
		return fmt.Errorf("count the tables of %s: %w", schema.Name, err)
	}
	if tables > 0 {
		return &ownership.ConflictError{What: fmt.Sprintf("schema %q", schema.Name)}
	}
	for _, account := range schema.Accounts {
		exists, err := a.accountExists(ctx, account.Name)
		if err != nil || !exists {
			if err != nil {
				return fmt.Errorf("read account %s: %w", account.Name, err)
			}
			continue
		}
		matches, err := a.canLogIn(ctx, account.Name, account.Password)
		if err != nil {
			return err
		}
		if !matches {
			return &ownership.ConflictError{What: fmt.Sprintf("account %q", account.Name)}
		}
	}
	for _, name := range schema.Unused {
		exists, err := a.accountExists(ctx, name)
		if err != nil {
			return fmt.Errorf("read account %s: %w", name, err)
		}
		if exists {
			return &ownership.ConflictError{What: fmt.Sprintf("account %q", name)}
		}
	}
	return nil
}

// Release lets a later stack with the owner's namespace and name claim the schema. It does
// nothing if the schema is not the owner's.
func (a *Admin) Release(ctx context.Context, schema Schema, owner ownership.Owner) error {
	marker, _, err := a.marker(ctx, schema.Name)
	if err != nil || marker == nil || marker.UID != owner.UID || marker.Released {
		return err
	}
	_, err = a.db.ExecContext(ctx, "UPDATE "+markerTableName(schema.Name)+ //nolint:gosec // a quoted name
		" SET released = TRUE WHERE id = 1 AND uid = ?", owner.UID)
	if err != nil {
		return fmt.Errorf("release schema %s: %w", schema.Name, err)
	}
	return nil
}

// Drop drops the schema and its accounts if they are the owner's. The marker is dropped
// last, so that an interrupted drop can be repeated.
func (a *Admin) Drop(ctx context.Context, schema Schema, owner ownership.Owner) error {
	marker, _, err := a.marker(ctx, schema.Name)
	if err != nil || marker == nil || marker.UID != owner.UID {
		return err
	}
	names := slices.Clone(schema.Unused)
	for _, account := range schema.Accounts {
		names = append(names, account.Name)
	}
	for _, name := range names {
		if err := a.dropAccount(ctx, name); err != nil {
			return err
		}
	}
	if _, err := a.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+identifier(schema.Name)); err != nil {
		return fmt.Errorf("drop schema %s: %w", schema.Name, err)
	}
	return nil
}

func (a *Admin) dropAccount(ctx context.Context, name string) error {
	if _, err := a.db.ExecContext(ctx, "DROP USER IF EXISTS ?@'%'", name); err != nil {
		return fmt.Errorf("drop account %s: %w", name, err)
	}
	return nil
}

// identifier quotes a name (https://dev.mysql.com/doc/refman/8.4/en/identifiers.html).
func identifier(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// markerTableName returns the quoted and qualified name of a schema's marker table.
func markerTableName(schema string) string { return identifier(schema) + "." + identifier(markerTable) }
