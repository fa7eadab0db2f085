package clients_test

import (
	"bytes"
	"context"
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

	"ecommerce-stack.dev/hack/contract/clients"
	"ecommerce-stack.dev/hack/internal/local"
)

// run runs a program in a folder and returns what it prints.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "REDOCLY_TELEMETRY=off", "NO_COLOR=1", "GOWORK=off")
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

// withMoreFields returns the address of a proxy for the gateway that adds fields to responses.
func withMoreFields(t *testing.T, gateway string) string {
	t.Helper()
	target, err := url.Parse(gateway)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httptest.NewServer(&httputil.ReverseProxy{ModifyResponse: addField, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Accept-Encoding") // The response is changed.
	}})
	t.Cleanup(proxy.Close)
	return proxy.URL
}

func TestDocumentSatisfiesLintersAndGenerators(t *testing.T) {
	if testing.Short() {
		t.Skip("needs servers; not part of a -short run")
	}
	dir, err := clients.Packages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	generators, err := clients.Generators(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := startSystem(t)
	work := t.TempDir()
	document := filepath.Join(work, "openapi.json")
	if err := os.WriteFile(document, fetch(t.Context(), t, s.URL+"/openapi.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	later := withMoreFields(t, s.URL)
	// order places an order with a program that has a generated client.
	order := func(t *testing.T, program string, args ...string) {
		t.Helper()
		for what, address := range map[string]string{"this release": s.URL, "a release with more fields": later} {
			if got := run(t, work, program, append(args, address, s.ManagerEmail, s.ManagerPassword)...); got != "Confirmed 2469135.78 1234567.89\n" {
				t.Errorf("an order at %s: %q", what, got)
			}
		}
	}
	program := func(name string) string { return filepath.Join(dir, "node_modules", ".bin", name) }
	t.Run("redocly", func(t *testing.T) { run(t, dir, program("redocly"), "lint", "--extends=recommended", document) })
	lint := func(t *testing.T, ruleset, document string) {
		t.Helper()
		ruleset, err := filepath.Abs(filepath.Join("testdata", ruleset))
		if err != nil {
			t.Fatal(err)
		}
		run(t, dir, program("spectral"), "lint", "--fail-severity=warn", "--ruleset="+ruleset, document)
	}
	t.Run("spectral", func(t *testing.T) { lint(t, "spectral.yaml", document) })
	t.Run("asyncapi", func(t *testing.T) {
		events := filepath.Join(work, "asyncapi.json")
		if err := os.WriteFile(events, fetch(t.Context(), t, s.URL+"/asyncapi.json"), 0o600); err != nil {
			t.Fatal(err)
		}
		lint(t, "asyncapi.yaml", events)
	})
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
		order(t, "node", "order.js")
	})
	golang := filepath.Join(work, "golang")
	if err := os.CopyFS(golang, os.DirFS("golang")); err != nil {
		t.Fatal(err)
	}
	t.Run("oapi-codegen", func(t *testing.T) {
		run(t, golang, filepath.Join(generators, "oapi-codegen"), "-generate", "types,client", "-package", "main", "-o", "oapicodegen/client.go", document)
		run(t, golang, "go", "build", "-o", "../oapicodegen", "./oapicodegen")
		order(t, filepath.Join(work, "oapicodegen"))
	})
	t.Run("ogen", func(t *testing.T) {
		run(t, golang, filepath.Join(generators, "ogen"), "--target", "ogen", "--package", "main", "--config", "ogen.yaml", document)
		run(t, golang, "go", "build", "-o", "../ogen", "./ogen")
		order(t, filepath.Join(work, "ogen"))
	})
}
