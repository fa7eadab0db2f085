package database_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	mysqldriver "github.com/go-sql-driver/mysql"

	"ecommerce-stack.dev/hack/testenv"
	"ecommerce-stack.dev/services/internal/database"
)

// The chart sets SSL_CERT_DIR to a folder with the certificates of private authorities. A
// process reads them once, so each attempt is a process of its own.
func TestServerOfPrivateAuthorityIsAccepted(t *testing.T) {
	const variable = "TEST_PRIVATE_AUTHORITY_DSN"
	if dsn := os.Getenv(variable); dsn != "" {
		db, err := database.Open(dsn)
		if err != nil {
			t.Fatal(err)
		}
		if err := database.Ping(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		return
	}
	if testing.Short() {
		t.Skip("needs a server; not part of a -short run")
	}
	authority := testenv.NewAuthority(t)
	certificate := authority.Issue(t)
	server, err := testenv.StartMySQL(t.Context(), "--ssl-cert="+certificate.CertFile, "--ssl-key="+certificate.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	config, err := mysqldriver.ParseDSN(server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	config.DBName, config.TLSConfig = "mysql", "true"
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "mysql.crt"), authority.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	connect := func(folder string) (string, error) {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), variable+"="+config.FormatDSN(), "SSL_CERT_DIR="+folder)
		output, err := cmd.CombinedOutput()
		return string(output), err
	}
	if output, err := connect(folder); err != nil {
		t.Errorf("with the authority: %v\n%s", err, output)
	}
	if output, err := connect(t.TempDir()); err == nil || !strings.Contains(output, "certificate") {
		t.Errorf("without the authority: error %v, want one about the certificate\n%s", err, output)
	}
}
