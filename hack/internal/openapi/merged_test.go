package openapi

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/testenv"
)

// build builds the services, which are in another module, and returns the folder of
// the programs.
func build(t *testing.T) (bin string) {
	t.Helper()
	bin = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", bin+"/",
		"./services/auth", "./services/stock", "./services/sales", "./services/gateway")
	cmd.Dir, cmd.Env = "../../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the services: %v\n%s", err, out)
	}
	return bin
}

// merged returns the document that a gateway merges from the documents that the
// services print. This needs no database and no broker.
func merged(t *testing.T) []byte {
	t.Helper()
	bin := build(t)
	env := []string{"JWT_KEYS_FILE=" + filepath.Join(bin, "keys.json"), "JWT_ISSUER=i", "JWT_AUDIENCE=a", "METRICS_ADDR=127.0.0.1:0"}
	if err := os.WriteFile(filepath.Join(bin, "keys.json"), []byte(`{"keys":[{"kty":"oct","alg":"HS256","use":"sig","kid":"k",`+
		`"k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"auth", "stock", "sales"} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(bin, name), "openapi").Output()
		if err != nil {
			t.Fatalf("%s openapi: %v", name, err)
		}
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(out) }))
		t.Cleanup(service.Close)
		env = append(env, strings.ToUpper(name)+"_URL="+service.URL)
	}
	address := freeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	gateway := exec.CommandContext(ctx, filepath.Join(bin, "gateway"))
	gateway.Env = slices.Concat(env, []string{"HTTP_ADDR=" + address})
	gateway.Cancel = func() error { return gateway.Process.Signal(syscall.SIGTERM) }
	gateway.WaitDelay = 30 * time.Second
	var log strings.Builder
	gateway.Stdout, gateway.Stderr = &log, &log
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	body, err := fetch(t.Context(), "http://"+address+"/openapi.json")
	stop()
	_ = gateway.Wait()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return body
}

// fetch sends GET requests until the server accepts a connection.
func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		if res, err := http.DefaultClient.Do(req); err == nil {
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return nil, fmt.Errorf("%s: %s", url, res.Status)
			}
			return io.ReadAll(res.Body)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to %s: %w", url, ctx.Err())
		}
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	port, err := testenv.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// maxDocument is the size that pages and generators load without a delay.
const maxDocument = 200_000

func TestMergedDocumentHasNoFindings(t *testing.T) {
	t.Parallel()
	document := merged(t)
	findings, err := Lint(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		t.Error(f)
	}
	if len(document) >= maxDocument {
		t.Errorf("the document has %d bytes, want less than %d", len(document), maxDocument)
	}
	if n := strings.Count(string(document), `"operationId"`); n < 30 {
		t.Errorf("the document has %d operations", n)
	}
}
