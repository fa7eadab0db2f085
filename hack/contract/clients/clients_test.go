package clients_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// tools installs the packages of testdata in the cache, once for each version of their lock file, and
// returns a folder with their programs.
func tools(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join("testdata", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := workspace.Cache()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	installed := filepath.Join(cache, "clients", hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(installed); err == nil {
		return installed
	}
	if err := os.MkdirAll(filepath.Dir(installed), 0o750); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(filepath.Dir(installed), "install-") // The same file system, so that it can be moved.
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	if err := os.Rename(dir, installed); err != nil {
		t.Fatal(err)
	}
	return installed
}

// run runs a program in a folder and returns what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "REDOCLY_TELEMETRY=off", "NO_COLOR=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// startSystem starts the system and stops it when the test ends.
func startSystem(t *testing.T) *local.System {
	t.Helper()
	s, err := local.Start(t.Context(), local.Options{Root: "../../..", Env: []string{"BCRYPT_COST=4"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return s
}

// fetch returns the body of a response.
func fetch(ctx context.Context, t *testing.T, address string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d, %v\n%s", address, res.StatusCode, err, body)
	}
	return body
}

// addField adds a field to every object of a successful response, as a later release may.
func addField(res *http.Response) error {
	if res.StatusCode >= 300 || res.Header.Get("Content-Type") != "application/json" {
		return nil
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		return err
	}
	if body, err = json.Marshal(withField(tree)); err != nil {
		return err
	}
	res.Body, res.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	res.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}

func withField(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		for name, member := range tree {
			tree[name] = withField(member)
		}
		tree["addedLater"] = map[string]any{"list": []any{1, "two", nil}}
	case []any:
		for i, item := range tree {
			tree[i] = withField(item)
		}
	}
	return tree
}

func TestDocumentSatisfiesLintersAndGenerators(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	s, dir := startSystem(t), tools(t)
	work := t.TempDir()
	document := filepath.Join(work, "openapi.json")
	if err := os.WriteFile(document, fetch(t.Context(), t, s.URL+"/openapi.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := func(name string) string { return filepath.Join(dir, "node_modules", ".bin", name) }
	t.Run("redocly", func(t *testing.T) { run(t, dir, program("redocly"), "lint", "--extends=recommended", document) })
	t.Run("spectral", func(t *testing.T) { run(t, dir, program("spectral"), "lint", "--ruleset=spectral.yaml", document) })
	t.Run("openapi-typescript", func(t *testing.T) {
		for _, name := range []string{"order.ts", "package.json"} {
			content, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		run(t, dir, program("openapi-typescript"), document, "--output", filepath.Join(work, "schema.ts"))
		run(t, work, program("tsc"), "--strict", "--target", "es2022", "--module", "nodenext", "order.ts")
		gateway, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		later := httptest.NewServer(&httputil.ReverseProxy{ModifyResponse: addField, Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(gateway)
			r.Out.Header.Del("Accept-Encoding") // The response is changed.
		}})
		defer later.Close()
		for what, address := range map[string]string{"this release": s.URL, "a release with more fields": later.URL} {
			if got := run(t, work, "node", "order.js", address, s.ManagerEmail, s.ManagerPassword); got != "Confirmed 2469135.78\n" {
				t.Errorf("an order at %s: %q", what, got)
			}
		}
	})
}
