package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// observe runs a command of hack/observe.
func observe(arguments ...string) error {
	cmd := exec.Command("go", append([]string{"run", "./hack/observe"}, arguments...)...)
	cmd.Dir = "../.."
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("hack/observe %v: %w\n%s", arguments, err, out)
	}
	return nil
}

// servers starts Prometheus and Alertmanager with fast alerts for the first test that needs
// them, and returns the time of their start.
var servers = sync.OnceValues(func() (time.Time, error) {
	err := observe("up", "--fast-alerts", "--no-tracing")
	return time.Now(), err
})

var serversStarted bool

func TestMain(m *testing.M) {
	code := m.Run()
	if serversStarted {
		if err := observe("down"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// startServers starts Prometheus and Alertmanager. It returns the time from which
// Prometheus has samples.
func startServers(t *testing.T) time.Time {
	t.Helper()
	needsCluster(t)
	serversStarted = true
	began, err := servers()
	if err != nil {
		t.Fatal(err)
	}
	return began
}

// get reads a response of a server in the namespace observability, through the API server.
func get(t *testing.T, service, path string, query url.Values, into any) error {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	address := config.Host + "/api/v1/namespaces/observability/services/" + service + ":http/proxy" + path + "?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s%s: %s, %w\n%.500s", service, path, response.Status, err, body)
	}
	return json.Unmarshal(body, into)
}
