package mysql_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/operator/internal/mysql"
	"ecommerce-stack.dev/operator/internal/ownership"
)

// fixture is a schema on the shared server that no other test uses.
type fixture struct {
	server mysql.Server
	admin  *mysql.Admin
	root   *sql.DB
	schema mysql.Schema
	owner  ownership.Owner
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	dsn := testenv.MySQL(t)
	config, err := driver.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(config.Addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{owner: ownership.Owner{UID: rand.Text(), Namespace: "shop", Name: "demo"}}
	f.server = mysql.Server{Host: host, Port: int32(number), Username: config.User, Password: config.Passwd, TLS: "false"}
	if f.admin, err = mysql.Connect(t.Context(), f.server); err != nil {
		t.Fatal(err)
	}
	if f.root, err = sql.Open("mysql", dsn); err != nil {
		t.Fatal(err)
	}
	name := "t_" + strings.ToLower(rand.Text()[:10])
	f.schema = mysql.Schema{Name: name, Accounts: []mysql.Account{
		{Name: mysql.AccountName(name, "owner"), Password: rand.Text(), Privileges: mysql.OwnerPrivileges},
		{Name: mysql.AccountName(name, "rw"), Password: rand.Text(), Privileges: mysql.RowPrivileges},
	}}
	t.Cleanup(func() {
		_ = f.admin.Close()
		for _, account := range f.schema.Accounts {
			_, _ = f.root.Exec("DROP USER IF EXISTS '" + account.Name + "'@'%'")
		}
		_, _ = f.root.Exec("DROP DATABASE IF EXISTS " + name)
		_ = f.root.Close()
	})
	return f
}

func (f *fixture) ensure(t *testing.T, adopt ownership.Adoption) mysql.Result {
	t.Helper()
	result, err := f.admin.Ensure(t.Context(), f.schema, f.owner, adopt)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (f *fixture) exec(t *testing.T, statement string) {
	t.Helper()
	if _, err := f.root.Exec(statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// as runs a statement with an account of the schema.
func (f *fixture) as(t *testing.T, account mysql.Account, statement string) error {
	t.Helper()
	db, err := sql.Open("mysql", f.server.DSN(account.Name, account.Password, f.schema.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

func TestEnsureProvisionsOnceAndIsIdempotent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.ensure(t, ownership.Never)
	if len(first.Changes) == 0 || first.Incarnation == "" {
		t.Fatalf("first call: %+v, want changes and an incarnation", first)
	}
	second := f.ensure(t, ownership.Never)
	if diff := cmp.Diff(mysql.Result{Incarnation: first.Incarnation}, second); diff != "" {
		t.Errorf("second call (-want +got):\n%s", diff)
	}
}

func TestAccountsHaveOnlyTheirPrivileges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	owner, service := f.schema.Accounts[0], f.schema.Accounts[1]
	if err := f.as(t, owner, "CREATE TABLE a (id INT PRIMARY KEY)"); err != nil {
		t.Errorf("create a table as the owner: %v", err)
	}
	if err := f.as(t, service, "INSERT INTO a VALUES (1)"); err != nil {
		t.Errorf("insert a row as the service: %v", err)
	}
	if err := f.as(t, service, "DROP TABLE a"); err == nil {
		t.Error("the service dropped a table, want an error")
	}
	// An underscore in a grant stands for any character unless it is escaped.
	neighbor := strings.Replace(f.schema.Name, "_", "x", 1)
	f.exec(t, "CREATE DATABASE "+neighbor)
	t.Cleanup(func() { f.exec(t, "DROP DATABASE "+neighbor) })
	if err := f.as(t, owner, "CREATE TABLE "+neighbor+".a (id INT)"); err == nil {
		t.Error("the owner reached a schema with a similar name, want an error")
	}
}

func TestEnsureCorrectsAndReportsDrift(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	rw := f.schema.Accounts[1].Name
	escaped := "`" + strings.ReplaceAll(f.schema.Name, "_", `\_`) + "`"
	role, table := f.schema.Name+"_role", "`"+f.schema.Name+"`.`a`"
	f.exec(t, "CREATE ROLE "+role)
	t.Cleanup(func() { f.exec(t, "DROP ROLE "+role) })
	f.exec(t, "CREATE TABLE "+table+" (id INT PRIMARY KEY)")
	owner, procedure := f.schema.Accounts[0].Name, "`"+f.schema.Name+"`.`p`"
	f.exec(t, "CREATE PROCEDURE "+procedure+"() SELECT 1")
	cases := []struct{ name, drift, change string }{
		{"a grant was revoked", "REVOKE INSERT ON " + escaped + ".* FROM '" + rw + "'@'%'", "grant INSERT on " + escaped + ".* to " + rw},
		{"too much was granted", "GRANT CREATE ON " + escaped + ".* TO '" + rw + "'@'%'", "revoke CREATE on " + escaped + ".* from " + rw},
		{"a global privilege was granted", "GRANT PROCESS ON *.* TO '" + rw + "'@'%'", "revoke PROCESS on *.* from " + rw},
		{"a privilege on a column was granted", "GRANT REFERENCES (id) ON " + table + " TO '" + rw + "'@'%'",
			"revoke REFERENCES (`id`) on " + table + " from " + rw},
		{"a privilege on a procedure was granted", "GRANT EXECUTE ON PROCEDURE " + procedure + " TO '" + rw + "'@'%'",
			"revoke EXECUTE on PROCEDURE " + procedure + " from " + rw},
		{"another account was granted", "GRANT PROXY ON '" + owner + "'@'%' TO '" + rw + "'@'%'", "revoke PROXY on `" + owner + "`@`%` from " + rw},
		{"a role was granted", "GRANT " + role + " TO '" + rw + "'@'%'", "revoke role `" + role + "`" + f.roleHost(t) + " from " + rw},
		{"the account was locked", "ALTER USER '" + rw + "'@'%' ACCOUNT LOCK", "unlock account " + rw},
		{"the password was changed", "ALTER USER '" + rw + "'@'%' IDENTIFIED BY 'other'", "set the password of account " + rw},
	}
	for _, c := range cases {
		f.exec(t, c.drift)
		if diff := cmp.Diff([]string{c.change}, f.ensure(t, ownership.Never).Changes); diff != "" {
			t.Errorf("%s: changes (-want +got):\n%s", c.name, diff)
		}
		if again := f.ensure(t, ownership.Never).Changes; len(again) > 0 {
			t.Errorf("%s: a second call changed %q, want nothing", c.name, again)
		}
	}
}

// roleHost returns what follows the name of a role: MariaDB's roles have no host.
func (f *fixture) roleHost(t *testing.T) string {
	t.Helper()
	var version string
	if err := f.root.QueryRow("SELECT VERSION()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(version, "MariaDB") {
		return ""
	}
	return "@`%`"
}

func TestRecreatedSchemaHasNewIncarnation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.ensure(t, ownership.Never)
	f.exec(t, "DROP DATABASE "+f.schema.Name)
	second := f.ensure(t, ownership.Never)
	if second.Incarnation == first.Incarnation {
		t.Errorf("incarnation %s, want a new one", second.Incarnation)
	}
	if diff := cmp.Diff([]string{"create schema " + f.schema.Name}, second.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestForeignResourcesAreRejectedUntilAdopted(t *testing.T) {
	t.Parallel()
	prepare := map[string]func(t *testing.T, f *fixture){
		"a schema of another stack": func(t *testing.T, f *fixture) {
			first := f.owner
			f.owner = ownership.Owner{UID: "other", Namespace: "elsewhere", Name: "first"}
			f.ensure(t, ownership.Never)
			f.owner = first
		},
		"a schema created manually": func(t *testing.T, f *fixture) {
			f.exec(t, "CREATE DATABASE "+f.schema.Name)
			f.exec(t, "CREATE TABLE "+f.schema.Name+".precious (id INT)")
		},
		"an account created manually": func(t *testing.T, f *fixture) {
			f.exec(t, "CREATE USER '"+f.schema.Accounts[0].Name+"'@'%' IDENTIFIED BY 'theirs'")
		},
	}
	for name, prepare := range prepare {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			prepare(t, f)
			_, err := f.admin.Ensure(t.Context(), f.schema, f.owner, ownership.Never)
			var conflict *ownership.ConflictError
			if !errors.As(err, &conflict) {
				t.Fatalf("error %v, want a conflict", err)
			}
			if conflict.Marker != nil && !strings.Contains(err.Error(), "elsewhere/first") {
				t.Errorf("error %q does not name the owner", err)
			}
			f.ensure(t, ownership.Always)
			if again := f.ensure(t, ownership.Never).Changes; len(again) > 0 {
				t.Errorf("a call after adoption changed %q, want nothing", again)
			}
		})
	}
}

func TestReleasedSchemaAdmitsOnlyTheSuccessor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	if err := f.admin.Release(t.Context(), f.schema, f.owner); err != nil {
		t.Fatal(err)
	}
	other := ownership.Owner{UID: "x", Namespace: "shop", Name: "other"}
	var conflict *ownership.ConflictError
	if _, err := f.admin.Ensure(t.Context(), f.schema, other, ownership.Never); !errors.As(err, &conflict) {
		t.Errorf("another owner: error %v, want a conflict", err)
	}
	f.owner.UID = "successor"
	f.ensure(t, ownership.Never)
}

func TestDropRequiresOwnership(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ensure(t, ownership.Never)
	if err := f.admin.Drop(t.Context(), f.schema, ownership.Owner{UID: "other"}); err != nil {
		t.Fatal(err)
	}
	if changes := f.ensure(t, ownership.Never).Changes; len(changes) > 0 {
		t.Errorf("a drop by another owner left %q to correct, want nothing", changes)
	}
	if err := f.admin.Drop(t.Context(), f.schema, f.owner); err != nil {
		t.Fatal(err)
	}
	for what, query := range map[string]string{
		"schemas":  "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '" + f.schema.Name + "'",
		"accounts": "SELECT COUNT(*) FROM mysql.user WHERE User LIKE '" + f.schema.Name + "%'",
	} {
		var left int
		if err := f.root.QueryRow(query).Scan(&left); err != nil {
			t.Fatal(err)
		}
		if left != 0 {
			t.Errorf("%d %s left, want none", left, what)
		}
	}
}

func TestConnectErrorNamesServerWithoutPassword(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	wrong := f.server
	wrong.Password = "not-the-password"
	_, err := mysql.Connect(context.Background(), wrong)
	if err == nil || !strings.Contains(err.Error(), wrong.Address()) || strings.Contains(err.Error(), wrong.Password) {
		t.Errorf("error %v, want one that names %s and not the password", err, wrong.Address())
	}
}

func TestUnusedAccountsAreDropped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	pair := mysql.Pair(f.schema.Name, "rw")
	first, second := f.schema.Accounts[1], f.schema.Accounts[1]
	first.Name, second.Name, second.Password = pair[0], pair[1], rand.Text()
	f.schema.Accounts, f.schema.Unused = []mysql.Account{first}, []string{second.Name}
	f.ensure(t, ownership.Never)
	f.schema.Accounts, f.schema.Unused = []mysql.Account{first, second}, nil
	f.ensure(t, ownership.Never)
	for _, account := range f.schema.Accounts {
		if err := f.as(t, account, "SELECT 1"); err != nil {
			t.Errorf("account %s: %v", account.Name, err)
		}
	}
	f.schema.Accounts, f.schema.Unused = []mysql.Account{second}, []string{first.Name}
	if got, want := f.ensure(t, ownership.Never).Changes, []string{"drop account " + first.Name}; !cmp.Equal(got, want) {
		t.Errorf("changes %q, want %q", got, want)
	}
	if err := f.as(t, first, "SELECT 1"); err == nil {
		t.Error("the account that was dropped can still log in")
	}
}

func TestUnusedAccountOfOthersIsNotDropped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	foreign := mysql.Pair(f.schema.Name, "rw")[1]
	f.exec(t, "CREATE USER '"+foreign+"'@'%' IDENTIFIED BY 'foreign-password'")
	t.Cleanup(func() { f.exec(t, "DROP USER '"+foreign+"'@'%'") })
	f.schema.Unused = []string{foreign}
	_, err := f.admin.Ensure(t.Context(), f.schema, f.owner, ownership.Never)
	if _, conflict := errors.AsType[*ownership.ConflictError](err); !conflict || !strings.Contains(err.Error(), foreign) {
		t.Errorf("got %v, want a conflict that names %s", err, foreign)
	}
}

func TestAdminPasswordIsReplacedAtAllHosts(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	name := "admin" + strings.ToLower(rand.Text()[:8])
	for _, host := range []string{"%", "localhost"} {
		f.exec(t, "CREATE USER '"+name+"'@'"+host+"' IDENTIFIED BY 'old-password'")
		t.Cleanup(func() { f.exec(t, "DROP USER '"+name+"'@'"+host+"'") })
		f.exec(t, "GRANT ALL PRIVILEGES ON *.* TO '"+name+"'@'"+host+"' WITH GRANT OPTION")
	}
	passwords := func() map[string]string {
		rows, err := f.root.Query("SELECT Host, authentication_string FROM mysql.user WHERE User = ?", name)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		found := map[string]string{}
		for rows.Next() {
			var host, password string
			if err := rows.Scan(&host, &password); err != nil {
				t.Fatal(err)
			}
			found[host] = password
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	before := passwords()
	server := f.server
	server.Username, server.Password, server.NextPassword = name, "old-password", "new-password"
	// The second time is that after an interruption: the server has the next password already.
	for range 2 {
		admin, err := mysql.Connect(t.Context(), server)
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.SetAdminPassword(t.Context(), server.NextPassword); err != nil {
			t.Fatal(err)
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	}
	for host, password := range passwords() {
		if password == before[host] {
			t.Errorf("the password of %s at %s was not replaced", name, host)
		}
	}
	server.NextPassword = ""
	if _, err := mysql.Connect(t.Context(), server); err == nil {
		t.Error("the previous password is still accepted")
	}
}

// TestAccountsAreDeniedEverythingElse lists what each account must not be able to do.
func TestAccountsAreDeniedEverythingElse(t *testing.T) {
	t.Parallel()
	f, other := newFixture(t), newFixture(t)
	f.ensure(t, ownership.Never)
	other.ensure(t, ownership.Never)
	owner, service := f.schema.Accounts[0], f.schema.Accounts[1]
	if err := f.as(t, owner, "CREATE TABLE a (id INT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	everyone := []string{
		"CREATE USER 'intruder'@'%' IDENTIFIED BY 'x'", "CREATE ROLE intruder", "DROP USER '" + other.schema.Accounts[0].Name + "'@'%'",
		"ALTER USER '" + other.schema.Accounts[0].Name + "'@'%' IDENTIFIED BY 'x'",
		"GRANT SELECT ON `" + f.schema.Name + "`.* TO '" + other.schema.Accounts[1].Name + "'@'%'",
		"SELECT * FROM mysql.user", "SELECT uid FROM `" + other.schema.Name + "`.ecommerce_stack_owner",
		"CREATE TABLE `" + other.schema.Name + "`.intruder (id INT)", "CREATE DATABASE " + other.schema.Name + "_intruder",
		"SET GLOBAL max_connections = 1", "SHUTDOWN", "FLUSH TABLES", "SELECT 1 INTO OUTFILE '/tmp/" + f.schema.Name + "'",
		"LOAD DATA INFILE '/etc/hostname' INTO TABLE a",
	}
	denied := map[string][]string{
		owner.Name: everyone,
		service.Name: append([]string{
			"CREATE TABLE b (id INT)", "DROP TABLE a", "ALTER TABLE a ADD COLUMN b INT", "TRUNCATE TABLE a", "CREATE INDEX b ON a (id)",
			"CREATE VIEW b AS SELECT 1", "CREATE PROCEDURE b() SELECT 1", "LOCK TABLES a WRITE", "DROP DATABASE `" + f.schema.Name + "`",
		}, everyone...),
	}
	for _, account := range []mysql.Account{owner, service} {
		for _, statement := range denied[account.Name] {
			var refused *driver.MySQLError
			if err := f.as(t, account, statement); !errors.As(err, &refused) || !accessDenied[refused.Number] {
				t.Errorf("%s as %s: error %v, want that access is denied", statement, account.Name, err)
			}
		}
	}
	if err := f.as(t, service, "INSERT INTO a VALUES (1)"); err != nil {
		t.Errorf("the service cannot write: %v", err)
	}
}

// accessDenied has the numbers of the errors about missing privileges: to a schema, to a table,
// to a column, to a global statement, and to an account.
var accessDenied = map[uint16]bool{1044: true, 1045: true, 1142: true, 1143: true, 1227: true, 1370: true}
