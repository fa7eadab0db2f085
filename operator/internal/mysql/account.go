package mysql

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Account is an account that may connect from any host and use one schema.
type Account struct {
	Name       string
	Password   string
	Privileges []string
}

// RowPrivileges are the privileges to read and write rows, which a service needs.
var RowPrivileges = []string{"SELECT", "INSERT", "UPDATE", "DELETE"}

// OwnerPrivileges are all schema privileges of MySQL, which migrations need. They are
// listed because the meaning of ALL differs between servers and versions.
var OwnerPrivileges = []string{
	"SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "REFERENCES", "INDEX", "ALTER",
	"CREATE TEMPORARY TABLES", "LOCK TABLES", "EXECUTE", "CREATE VIEW", "SHOW VIEW",
	"CREATE ROUTINE", "ALTER ROUTINE", "EVENT", "TRIGGER",
}

// maxAccountNameLength is the limit of MySQL, in characters.
const maxAccountNameLength = 32

// AccountName returns the schema's name joined with a suffix. A result of more than 32
// characters is truncated and contains a hash of the full name instead.
func AccountName(schema, suffix string) string {
	name := schema + "_" + suffix
	if len(name) <= maxAccountNameLength {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4]) + "_" + suffix
	return name[:maxAccountNameLength-len(tail)] + tail
}

// Pair returns the names of the two accounts for one purpose, such as rw. One of them is in
// use; a rotation creates the other, and drops the first when nothing uses it any more.
func Pair(schema, purpose string) [2]string {
	return [2]string{AccountName(schema, purpose+"_a"), AccountName(schema, purpose+"_b")}
}

// SetAdminPassword sets the password of the administrator that the connection belongs to, and
// reports an error unless a login with it succeeds. The account may exist for several hosts,
// such as localhost; all get the password.
func (a *Admin) SetAdminPassword(ctx context.Context, password string) error {
	rows, err := a.db.QueryContext(ctx, "SELECT Host FROM mysql.user WHERE User = ?", a.server.Username)
	if err != nil {
		return fmt.Errorf("read the hosts of %s: %w", a.server.Username, err)
	}
	defer rows.Close()
	var hosts []string
	for rows.Next() {
		var host string
		if err := rows.Scan(&host); err != nil {
			return fmt.Errorf("read the hosts of %s: %w", a.server.Username, err)
		}
		hosts = append(hosts, host)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the hosts of %s: %w", a.server.Username, err)
	}
	for _, host := range hosts {
		if _, err := a.db.ExecContext(ctx, "ALTER USER ?@? IDENTIFIED BY ?", a.server.Username, host, password); err != nil {
			return fmt.Errorf("set the password of %s: %w", a.server.Username, err)
		}
	}
	matches, err := a.canLogIn(ctx, a.server.Username, password)
	if err == nil && !matches {
		err = fmt.Errorf("the server refuses the new password of %s", a.server.Username)
	}
	return err
}

// ensureAccount creates or corrects an account and returns the changes that it made.
func (a *Admin) ensureAccount(ctx context.Context, schema string, account Account) ([]string, error) {
	exists, err := a.accountExists(ctx, account.Name)
	if err != nil {
		return nil, err
	}
	var changes []string
	if !exists {
		if _, err := a.db.ExecContext(ctx, "CREATE USER IF NOT EXISTS ?@'%' IDENTIFIED BY ?",
			account.Name, account.Password); err != nil {
			return nil, fmt.Errorf("create: %w", err)
		}
		changes = append(changes, "create account "+account.Name)
	}
	matches, err := a.canLogIn(ctx, account.Name, account.Password)
	if isLocked(err) {
		// The server checks the lock before the password.
		if _, err := a.db.ExecContext(ctx, "ALTER USER ?@'%' ACCOUNT UNLOCK", account.Name); err != nil {
			return changes, fmt.Errorf("unlock: %w", err)
		}
		changes = append(changes, "unlock account "+account.Name)
		matches, err = a.canLogIn(ctx, account.Name, account.Password)
	}
	if err != nil {
		return changes, err
	}
	if !matches {
		if _, err := a.db.ExecContext(ctx, "ALTER USER ?@'%' IDENTIFIED BY ?", account.Name, account.Password); err != nil {
			return changes, fmt.Errorf("set the password: %w", err)
		}
		changes = append(changes, "set the password of account "+account.Name)
	}
	grants, err := a.ensureGrants(ctx, schema, account)
	changes = append(changes, grants...)
	if err != nil {
		return changes, err
	}
	roles, err := a.revokeRoles(ctx, account.Name)
	return append(changes, roles...), err
}

func (a *Admin) accountExists(ctx context.Context, name string) (bool, error) {
	var count int
	err := a.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.user WHERE User = ? AND Host = '%'", name).Scan(&count)
	return count > 0, err
}

// revokeRoles revokes the roles of an account, which needs none.
func (a *Admin) revokeRoles(ctx context.Context, account string) ([]string, error) {
	roles, err := a.roles(ctx, account)
	if err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	var changes []string
	for _, role := range roles {
		if _, err := a.db.ExecContext(ctx, "REVOKE "+role+" FROM ?@'%'", account); err != nil {
			return changes, fmt.Errorf("revoke role %s: %w", role, err)
		}
		changes = append(changes, fmt.Sprintf("revoke role %s from %s", role, account))
	}
	return changes, nil
}

// roles returns the roles of an account, quoted for REVOKE. In MySQL a role is an account with a
// host; in MariaDB it has a name only.
func (a *Admin) roles(ctx context.Context, account string) ([]string, error) {
	rows, err := a.db.QueryContext(ctx, "SELECT FROM_USER, FROM_HOST FROM mysql.role_edges WHERE TO_USER = ? AND TO_HOST = '%'", account)
	if isServerError(err, errNoSuchTable) {
		rows, err = a.db.QueryContext(ctx, "SELECT Role, '' FROM mysql.roles_mapping WHERE User = ? AND Host = '%'", account)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var roles []string
	for rows.Next() {
		var name, host string
		if err := rows.Scan(&name, &host); err != nil {
			return nil, err
		}
		role := identifier(name)
		if host != "" {
			role += "@" + identifier(host)
		}
		roles = append(roles, role)
	}
	slices.Sort(roles)
	return roles, rows.Err()
}

// grant is one privilege on one object.
type grant struct {
	// privilege is written as in GRANT and REVOKE, such as SELECT or SELECT (`column`).
	privilege string
	// object is written as in GRANT and REVOKE: *.*, `schema`.*, `schema`.`table`,
	// PROCEDURE `schema`.`routine`, or `user`@`host` for PROXY.
	object string
}

// ensureGrants grants missing privileges, then revokes surplus privileges. It returns the
// changes that it made.
func (a *Admin) ensureGrants(ctx context.Context, schema string, account Account) ([]string, error) {
	observed, err := a.grants(ctx, account.Name)
	if err != nil {
		return nil, err
	}
	desired := map[grant]bool{}
	for _, privilege := range account.Privileges {
		desired[grant{privilege, a.grantPattern(schema) + ".*"}] = true
	}
	missing, surplus := difference(desired, observed), difference(observed, desired)
	var changes []string
	for _, object := range objects(missing) {
		privileges := missing[object]
		if _, err := a.db.ExecContext(ctx, "GRANT "+strings.Join(privileges, ", ")+" ON "+object+" TO ?@'%'", account.Name); err != nil {
			return changes, fmt.Errorf("grant on %s: %w", object, err)
		}
		changes = append(changes, fmt.Sprintf("grant %s on %s to %s", strings.Join(privileges, ", "), object, account.Name))
	}
	for _, object := range objects(surplus) {
		privileges := surplus[object]
		if _, err := a.db.ExecContext(ctx, "REVOKE "+strings.Join(privileges, ", ")+" ON "+object+" FROM ?@'%'", account.Name); err != nil {
			return changes, fmt.Errorf("revoke on %s: %w", object, err)
		}
		changes = append(changes, fmt.Sprintf("revoke %s on %s from %s", strings.Join(privileges, ", "), object, account.Name))
	}
	return changes, nil
}

// grantPattern returns a schema's name, quoted for GRANT and REVOKE. Underscores are
// escaped unless the server takes them literally.
func (a *Admin) grantPattern(schema string) string {
	if !a.literalPatterns {
		schema = strings.NewReplacer(`_`, `\_`, `%`, `\%`).Replace(schema)
	}
	return identifier(schema)
}

// grants returns the set of an account's grants.
func (a *Admin) grants(ctx context.Context, account string) (map[grant]bool, error) {
	rows, err := a.db.QueryContext(ctx, `
		SELECT '', '', '', PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ?
		UNION ALL
		SELECT TABLE_SCHEMA, '', '', PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = ?
		UNION ALL
		SELECT TABLE_SCHEMA, TABLE_NAME, '', PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE = ?
		UNION ALL
		SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.COLUMN_PRIVILEGES WHERE GRANTEE = ?`,
		grantee(account), grantee(account), grantee(account), grantee(account))
	if err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	defer rows.Close()
	set := map[grant]bool{}
	for rows.Next() {
		var schema, table, column, privilege, grantable string
		if err := rows.Scan(&schema, &table, &column, &privilege, &grantable); err != nil {
			return nil, fmt.Errorf("read grants: %w", err)
		}
		object := object(schema, table)
		if grantable == "YES" {
			set[grant{"GRANT OPTION", object}] = true
		}
		if column != "" {
			privilege += " (" + identifier(column) + ")"
		}
		if privilege != "USAGE" {
			set[grant{privilege, object}] = true
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read grants: %w", err)
	}
	return set, errors.Join(a.routineGrants(ctx, account, set), a.proxyGrants(ctx, account, set))
}

// routineGrants adds an account's grants on single routines, which no table of
// information_schema lists.
func (a *Admin) routineGrants(ctx context.Context, account string, set map[grant]bool) error {
	rows, err := a.db.QueryContext(ctx, "SELECT Routine_type, Db, Routine_name, Proc_priv FROM mysql.procs_priv WHERE User = ? AND Host = '%'", account)
	if err != nil {
		return fmt.Errorf("read grants on routines: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind, schema, routine, privileges string
		if err := rows.Scan(&kind, &schema, &routine, &privileges); err != nil {
			return fmt.Errorf("read grants on routines: %w", err)
		}
		for _, privilege := range strings.Split(strings.ToUpper(privileges), ",") {
			if privilege == "GRANT" {
				privilege = "GRANT OPTION"
			}
			set[grant{privilege, kind + " " + object(schema, routine)}] = true
		}
	}
	return rows.Err()
}

// proxyGrants adds the accounts that an account may act as.
func (a *Admin) proxyGrants(ctx context.Context, account string, set map[grant]bool) error {
	rows, err := a.db.QueryContext(ctx, "SELECT Proxied_user, Proxied_host FROM mysql.proxies_priv WHERE User = ? AND Host = '%'", account)
	if err != nil {
		return fmt.Errorf("read grants to act as other accounts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var user, host string
		if err := rows.Scan(&user, &host); err != nil {
			return fmt.Errorf("read grants to act as other accounts: %w", err)
		}
		set[grant{"PROXY", identifier(user) + "@" + identifier(host)}] = true
	}
	return rows.Err()
}

func grantee(account string) string { return "'" + account + "'@'%'" }

func object(schema, table string) string {
	switch {
	case schema == "":
		return "*.*"
	case table == "":
		return identifier(schema) + ".*"
	default:
		return identifier(schema) + "." + identifier(table)
	}
}

// difference returns the privileges that are in the first set and not in the second, sorted
// and grouped by object.
func difference(in, notIn map[grant]bool) map[string][]string {
	found := map[string][]string{}
	for g := range in {
		if !notIn[g] {
			found[g.object] = append(found[g.object], g.privilege)
		}
	}
	for _, privileges := range found {
		slices.Sort(privileges)
	}
	return found
}

func objects(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
