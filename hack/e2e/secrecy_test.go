//go:build nightly

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSecretsAppearNowhere creates a stack, rotates its credentials and keys, and searches for
// each secret that it ever had: in the command lines of all processes meanwhile, in the
// environments of the servers, and in logs, Events, objects and metrics.
func TestSecretsAppearNowhere(t *testing.T) {
	needsCluster(t)
	const scratch = "secrecy"
	processes := watchProcesses(t)
	secrets := watchSecrets(t, scratch)
	newStack(t, scratch, `{"deletionPolicy":"Delete","jwt":{"accessTokenTTL":"1m"}}`)
	request := rand.Text()
	mustKubectl(t, "-n", scratch, "annotate", "estack", stack, "ecommerce-stack.dev/rotate-credentials="+request, "ecommerce-stack.dev/rotate-keys="+request)
	eventually(t, 12*time.Minute, func() (bool, any) { return isRotated(t, scratch, request) })

	// Proves that the process list has the processes of pods.
	marker := "marker-" + rand.Text()
	mustKubectl(t, "-n", scratch, "exec", stack+"-mysql-0", "-c", "mysql", "--", "sh", "-c", "sleep 2", marker)
	places := processes()
	if !strings.Contains(places["command lines"], marker) {
		t.Error("the process list has no processes of pods: the test proves nothing")
	}
	values := secrets()
	// Each account, administrator and key has at least two passwords, and most have a URL with each.
	if len(values) < 30 {
		t.Errorf("%d secrets, want those before and after the rotation", len(values))
	}
	readVisible(t, scratch, places)
	for place, text := range places {
		if text == "" {
			t.Errorf("%s: nothing was read", place)
		}
		for value, name := range values {
			if strings.Contains(text, value) {
				t.Errorf("%s: contains %s", place, name)
			}
		}
	}
}

// newStack creates a stack with embedded servers in a namespace of its own, and waits until it
// is ready. The end of the test deletes both.
func newStack(t *testing.T, in, spec string) {
	t.Helper()
	manifest := `{"apiVersion":"v1","kind":"List","items":[
		{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"` + in + `"}},
		{"apiVersion":"ecommerce-stack.dev/v1alpha1","kind":"ECommerceStack","metadata":{"name":"` + stack + `","namespace":"` + in + `"},"spec":` + spec + `}]}`
	t.Cleanup(func() {
		out, err := kubectlWith(context.WithoutCancel(t.Context()), "delete", "namespace", in, "--timeout=3m")
		if err != nil {
			t.Errorf("delete namespace %s: %v\n%s", in, err, out)
		}
	})
	if out, err := kubectl(t, manifest, "apply", "--filename=-"); err != nil {
		t.Fatalf("create the stack: %v\n%s", err, out)
	}
	mustKubectl(t, "-n", in, "wait", "--for=condition=Ready", "estack/"+stack, "--timeout=6m")
}

// readVisible adds what people without access to Secrets may read about a stack.
func readVisible(t *testing.T, in string, places map[string]string) {
	t.Helper()
	places["Events"] = mustKubectl(t, "-n", in, "get", "events.events.k8s.io", "-o", "json")
	places["objects"] = mustKubectl(t, "-n", in, "get", "estack,all,configmaps,endpointslices,ingresses,networkpolicies,persistentvolumeclaims,poddisruptionbudgets,roles,rolebindings,serviceaccounts,controllerrevisions", "-o", "json")
	places["log of the operator"] = mustKubectl(t, "-n", "ecommerce-system", "logs", "-l", "app.kubernetes.io/name=operator", "--tail=-1")
	metrics := func(in, name, selector, port string) {
		pod := mustKubectl(t, "-n", in, "get", "pods", "-l", selector, "--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
		places["metrics of "+name] = mustKubectl(t, "get", "--raw", "/api/v1/namespaces/"+in+"/pods/"+pod+":"+port+"/proxy/metrics")
	}
	metrics("ecommerce-system", "the operator", "app.kubernetes.io/name=operator", "9090")
	for name, port := range map[string]string{"gateway": "9090", "auth": "9090", "sales": "9090", "stock": "9090", "rabbitmq": "15692", "mysql": ""} {
		selector := "app.kubernetes.io/instance=" + stack + ",app.kubernetes.io/name=" + name
		places["log of "+name] = mustKubectl(t, "-n", in, "logs", "-l", selector, "--all-containers", "--tail=-1", "--max-log-requests=20")
		if port != "" {
			metrics(in, name, selector, port)
		}
	}
}

// watchSecrets collects the secrets of the Secrets in a namespace. The returned function ends
// that and returns their places by value.
func watchSecrets(t *testing.T, in string) (stop func() map[string]string) {
	t.Helper()
	return collect(t, 500*time.Millisecond, func(ctx context.Context, values map[string]string) {
		secrets, err := rotationState(ctx, in)
		if err != nil {
			return // The namespace does not exist yet.
		}
		for _, secret := range secrets {
			for key, encoded := range secret.Data {
				value, err := base64.StdEncoding.DecodeString(encoded)
				if err != nil {
					t.Errorf("%s of Secret %s: %v", key, secret.Metadata.Name, err)
				}
				name := secret.Metadata.Name + "/" + key
				switch key {
				case "username", "next-username", "email", "active":
				case "jwks.json":
					for _, private := range privateKeys(t, value) {
						values[private] = name
					}
				default:
					values[string(value)] = name
				}
			}
		}
		delete(values, "")
	})
}

// privateKeys returns the secret parts of the keys in a JWK Set: of symmetric keys k, of
// others d (RFC 7518, section 6; RFC 8037).
func privateKeys(t *testing.T, set []byte) []string {
	var decoded struct{ Keys []struct{ K, D string } }
	if err := json.Unmarshal(set, &decoded); err != nil {
		t.Errorf("JWK Set: %v", err)
	}
	var private []string
	for _, key := range decoded.Keys {
		private = append(private, key.K, key.D)
	}
	return private
}

// watchProcesses collects the command lines of all processes of this machine, which runs those
// of the cluster, and the environments of the servers. The returned function ends that.
func watchProcesses(t *testing.T) (stop func() map[string]string) {
	t.Helper()
	const commands, environments = "command lines", "environments of the servers"
	end := collect(t, 20*time.Millisecond, func(_ context.Context, seen map[string]string) {
		folders, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			t.Error(err)
		}
		for _, folder := range folders {
			line, err := os.ReadFile(filepath.Join(folder, "cmdline"))
			if err != nil {
				continue // The process has ended.
			}
			command := string(bytes.ReplaceAll(line, []byte{0}, []byte{' '}))
			seen[command] = commands
			if !isServer(command) {
				continue
			}
			if environment, err := os.ReadFile(filepath.Join(folder, "environ")); err == nil {
				seen[string(environment)] = environments
			}
		}
	})
	return func() map[string]string {
		places := map[string]string{commands: "", environments: ""}
		for text, place := range end() {
			places[place] += text
		}
		return places
	}
}

// isServer reports whether a command line is that of a server whose password is not in its
// environment: the services and the exporter get theirs there.
func isServer(command string) bool {
	for _, server := range []string{"mysqld", "mariadb", "rabbitmq", "beam", "epmd", "/etc/ecommerce/"} {
		if strings.Contains(command, server) && !strings.Contains(command, "mysqld_exporter") {
			return true
		}
	}
	return false
}

// collect calls add in an interval until the returned function is called, which returns what
// was added.
func collect(t *testing.T, interval time.Duration, add func(context.Context, map[string]string)) (stop func() map[string]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	values := map[string]string{}
	var running sync.WaitGroup
	running.Go(func() { every(ctx, interval, func() { add(ctx, values) }) })
	end := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(end)
	return func() map[string]string { end(); return values }
}
