package chart_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/hack/testenv"
)

const exporterPassword = "exporter-password"

// TestExporterReadsServerWithLeastPrivilege runs the chart's init script and mysqld_exporter,
// with the arguments of the chart, against a MariaDB server.
func TestExporterReadsServerWithLeastPrivilege(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs MariaDB and builds mysqld_exporter; not part of a -short run")
	}
	server, err := testenv.StartMySQL(t.Context(), "--performance-schema=OFF")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	db, err := sql.Open("mysql", server.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for range 2 { // as at the first start and at the next one
		for _, statement := range initStatements(t, true) {
			if _, err := db.Exec(statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
	}
	if got, want := grantsOf(t, db), []string{"GRANT PROCESS ON *.*"}; !slices.Equal(got, want) {
		t.Errorf("the exporter's account has %q, want %q", got, want)
	}
	metrics := scrapeExporter(t, server.Address)
	for _, want := range []string{"mysql_up 1", "mysql_global_status_threads_connected ", "mysql_global_variables_max_connections 500", "mysql_info_schema_innodb_metrics_"} {
		if !strings.Contains(metrics, "\n"+want) {
			t.Errorf("the scrape lacks %q", want)
		}
	}
	dashboard := readFile(t, filepath.Join("..", "..", "..", "config", "grafana", "ecommerce-mysql.json"))
	for _, name := range regexp.MustCompile(`\bmysql_[a-z_0-9]+`).FindAllString(dashboard, -1) {
		if name == "mysql_global_status_innodb_os_log_fsyncs" {
			continue // MariaDB does not have it.
		}
		if !strings.Contains(metrics, "\n"+name+" ") && !strings.Contains(metrics, "\n"+name+"{") {
			t.Errorf("the dashboard shows %s, which is not in the scrape", name)
		}
	}
	for line := range strings.Lines(metrics) {
		if strings.HasPrefix(line, "mysql_exporter_collector_success") && !strings.HasSuffix(line, " 1\n") {
			t.Errorf("a collector fails: %s", line)
		}
	}
	for _, statement := range initStatements(t, false) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if got := grantsOf(t, db); len(got) > 0 {
		t.Errorf("the exporter's account has %q after the exporter was disabled, want no account", got)
	}
}

// initStatements runs the init script on a data directory that exists, and returns its
// statements about the exporter's account.
func initStatements(t *testing.T, enabled bool) []string {
	t.Helper()
	root := t.TempDir()
	files := map[string]string{"/etc/ecommerce/admin/username": "root", "/etc/ecommerce/admin/password": "admin-password"}
	if enabled {
		files["/etc/ecommerce/exporter/password"] = exporterPassword
	}
	for _, folder := range []string{"/var/lib/mysql/data", "/run/mysqld", "/etc/ecommerce/admin", "/etc/ecommerce/exporter"} {
		if folder == "/etc/ecommerce/exporter" && !enabled {
			continue
		}
		if err := os.MkdirAll(root+folder, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(root+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script, err := charts.FS.ReadFile("mysql/files/init.sh")
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"/etc/ecommerce", "/var/lib/mysql", "/run/mysqld"} {
		script = bytes.ReplaceAll(script, []byte(folder), []byte(root+folder))
	}
	command := exec.CommandContext(t.Context(), "sh", "-s")
	command.Stdin = bytes.NewReader(script)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("init.sh: %v\n%s", err, output)
	}
	content := readFile(t, filepath.Join(root, "run", "mysqld", "init.sql"))
	var statements []string
	for line := range strings.Lines(content) {
		if strings.Contains(line, "'exporter'") {
			statements = append(statements, strings.TrimSpace(line))
		}
	}
	if len(statements) == 0 {
		t.Fatal("init.sql does not mention the exporter's account")
	}
	return statements
}

// grantsOf returns the grants of the exporter's account without its name and its password,
// or nil if it does not exist.
func grantsOf(t *testing.T, db *sql.DB) []string {
	t.Helper()
	var accounts int
	if err := db.QueryRow("SELECT COUNT(*) FROM mysql.user WHERE User = 'exporter'").Scan(&accounts); err != nil || accounts == 0 {
		if err != nil {
			t.Fatal(err)
		}
		return nil
	}
	rows, err := db.Query("SHOW GRANTS FOR 'exporter'@'127.0.0.1'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var grants []string
	for rows.Next() {
		var grant string
		if err := rows.Scan(&grant); err != nil {
			t.Fatal(err)
		}
		privileges, rest, _ := strings.Cut(grant, " TO ")
		grants = append(grants, privileges)
		if !strings.Contains(rest, "MAX_USER_CONNECTIONS 3") {
			t.Errorf("%q does not limit the connections to 3", rest)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return grants
}

// scrapeExporter builds and starts mysqld_exporter and returns its metrics.
func scrapeExporter(t *testing.T, address string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "mysqld_exporter")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "github.com/prometheus/mysqld_exporter")
	build.Dir, build.Env = filepath.Join("..", "..", "..", "hack", "tools"), append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build mysqld_exporter: %v\n%s", err, output)
	}
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	listen := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	var arguments []string
	for _, argument := range exporterContainer(t).Args {
		argument = strings.Replace(argument, "127.0.0.1:3306", address, 1)
		arguments = append(arguments, strings.Replace(argument, ":9104", listen, 1))
	}
	var log bytes.Buffer
	command := exec.CommandContext(t.Context(), program, arguments...)
	command.Env = []string{"MYSQLD_EXPORTER_PASSWORD=" + exporterPassword}
	command.Stderr = &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	var body []byte
	var last error
	if err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		body, last = get(ctx, "http://"+listen+"/metrics")
		return last == nil, nil
	}); err != nil {
		t.Fatalf("scrape: %v", errors.Join(err, last))
	}
	return string(body)
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	return io.ReadAll(response.Body)
}

// exporterContainer returns the exporter's container of the chart.
func exporterContainer(t *testing.T) corev1.Container {
	t.Helper()
	for _, object := range (renderCase{chart: charts.MySQL, valuesFile: "testdata/mysql-large.values.yaml"}).render(t) {
		if spec, found := podSpec(t, object); found {
			for _, container := range spec.Containers {
				if container.Name == "exporter" {
					return container
				}
			}
		}
	}
	t.Fatal("the chart has no container of the exporter")
	return corev1.Container{}
}
