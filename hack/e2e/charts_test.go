package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/images"
)

// chartFolder returns the folder of a chart, with the library added to it.
func chartFolder(t *testing.T, name string) string {
	t.Helper()
	folder := filepath.Join("..", "..", "charts", name)
	if out, err := exec.CommandContext(t.Context(), "helm", "dependency", "update", folder, "--skip-refresh").CombinedOutput(); err != nil {
		t.Fatalf("helm dependency update: %v\n%s", err, out)
	}
	return folder
}

// TestServiceChartsInstallWithHelm installs each service with Helm, with the servers and
// Secrets of the stack.
func TestServiceChartsInstallWithHelm(t *testing.T) {
	newShop(t)
	const release = "alone"
	for _, c := range []struct {
		name, port, path string
		values           []string
	}{
		{"stock", "5003", "products", []string{"mysql.secretName=demo-stock-mysql", "mysql.ownerSecretName=demo-stock-mysql-owner",
			"rabbitmq.secretName=demo-stock-rabbitmq"}},
		{"sales", "5002", "readyz", []string{"mysql.secretName=demo-sales-mysql", "mysql.ownerSecretName=demo-sales-mysql-owner",
			"rabbitmq.secretName=demo-sales-rabbitmq"}},
		{"auth", "5004", ".well-known/jwks.json", []string{"mysql.secretName=demo-auth-mysql", "mysql.ownerSecretName=demo-auth-mysql-owner",
			"jwt.signingSecretName=demo-auth-jwt", "manager.secretName=demo-manager"}},
		{"gateway", "5001", "readyz", []string{"rabbitmq.secretName=demo-gateway-rabbitmq"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			arguments := []string{"--namespace", namespace, "install", release + "-" + c.name, chartFolder(t, c.name), "--wait", "--timeout", "2m",
				"--set", "image.tag=" + images.LastBuilt, "--set", "jwt.secretName=demo-jwks", "--set", "jwt.issuer=urn:ecommerce-stack:shop:demo"}
			for _, v := range c.values {
				arguments = append(arguments, "--set", v)
			}
			t.Cleanup(func() {
				out, err := exec.Command("helm", "--namespace", namespace, "uninstall", release+"-"+c.name, "--wait").CombinedOutput()
				if err != nil {
					t.Errorf("uninstall: %v\n%s", err, out)
				}
			})
			out, err := exec.CommandContext(t.Context(), "helm", arguments...).CombinedOutput()
			if err != nil {
				t.Fatalf("install: %v\n%s\n%s", err, out, mustKubectl(t, "-n", namespace, "get", "pods,events"))
			}
			if !strings.Contains(string(out), "NOTES") {
				t.Errorf("helm install prints no notes:\n%s", out)
			}
			mustKubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/"+release+"-"+c.name+"-"+c.name+":"+c.port+"/proxy/"+c.path)
		})
	}
}

// TestRoutesChangeWithoutRestart sets the gateway's routes in the chart and changes them
// while the pod runs.
func TestRoutesChangeWithoutRestart(t *testing.T) {
	newShop(t)
	const release = "routed"
	helm := func(arguments ...string) {
		t.Helper()
		if out, err := exec.Command("helm", append([]string{"--namespace", namespace}, arguments...)...).CombinedOutput(); err != nil {
			t.Fatalf("helm %v: %v\n%s\n%s", arguments, err, out, mustKubectl(t, "-n", namespace, "get", "pods,events"))
		}
	}
	folder := chartFolder(t, "gateway")
	with := func(routes string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "routes.yaml")
		if err := os.WriteFile(file, []byte("routes:\n"+routes), 0o600); err != nil {
			t.Fatal(err)
		}
		helm("upgrade", "--install", release, folder, "--wait", "--timeout", "2m", "--set-file", "routes="+file,
			"--set", "image.tag="+images.LastBuilt, "--set", "jwt.secretName=demo-jwks", "--set", "rabbitmq.secretName=demo-gateway-rabbitmq")
	}
	pod := func() string {
		return mustKubectl(t, "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/instance="+release, "-o",
			"jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount}{end}")
	}
	// The response is 404 without a route, and 401 with a route that requires a token.
	me := func() string {
		out, _ := kubectl(t, "", "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/"+release+"-gateway:5001/proxy/auth/me")
		return out
	}
	t.Cleanup(func() { helm("uninstall", release, "--wait") })
	const productsRoute = "  - {path: /products, methods: [GET], upstream: stock, access: public}\n"
	with(productsRoute)
	if got := me(); !strings.Contains(got, "NotFound") && !strings.Contains(got, "could not find") {
		t.Fatalf("a path without a route: %s, want 404", got)
	}
	before := pod()
	with(productsRoute + "  - {path: /auth/me, methods: [GET], upstream: auth, access: any}\n")
	eventually(t, 4*time.Minute, func() (bool, any) {
		got := me()
		return strings.Contains(got, "nauthorized") || strings.Contains(got, "logged in"), got
	})
	if after := pod(); after != before {
		t.Errorf("pods and restarts were %q and are %q, want the same pod", before, after)
	}
}

func TestServicesExposeMetrics(t *testing.T) {
	newShop(t)
	for _, name := range []string{"gateway", "auth", "sales", "stock"} {
		pod := mustKubectl(t, "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/instance="+stack+",app.kubernetes.io/name="+name,
			"--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
		metrics := mustKubectl(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+":9090/proxy/metrics")
		if !strings.Contains(metrics, "go_goroutines") || !strings.Contains(metrics, `service="`+name+`"`) {
			t.Errorf("metrics of %s lack the service label:\n%.500s", name, metrics)
		}
	}
}
