package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestAServiceChartInstallsAlone installs each service with plain Helm, against
// servers and Secrets that are there already: those of the stack.
func TestAServiceChartInstallsAlone(t *testing.T) {
	open(t)
	version := must(t, "-n", namespace, "get", "estack", stack, "-o", "jsonpath={.status.version}")
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
			arguments := []string{"--namespace", namespace, "install", release + "-" + c.name, "../../charts/" + c.name, "--wait", "--timeout", "2m",
				"--set", "image.tag=" + version, "--set", "jwt.secretName=demo-jwt", "--set", "jwt.issuer=urn:ecommerce-stack:shop:demo"}
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
				t.Fatalf("install: %v\n%s\n%s", err, out, must(t, "-n", namespace, "get", "pods,events"))
			}
			if !strings.Contains(string(out), "NOTES") {
				t.Errorf("helm install prints no notes:\n%s", out)
			}
			must(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/services/"+release+"-"+c.name+"-"+c.name+":"+c.port+"/proxy/"+c.path)
		})
	}
}

func TestEveryServiceHasMetricsOnAPortOfItsOwn(t *testing.T) {
	open(t)
	for _, name := range []string{"gateway", "auth", "sales", "stock"} {
		pod := must(t, "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/instance="+stack+",app.kubernetes.io/name="+name,
			"--field-selector=status.phase=Running", "-o", "jsonpath={.items[0].metadata.name}")
		metrics := must(t, "get", "--raw", "/api/v1/namespaces/"+namespace+"/pods/"+pod+":9090/proxy/metrics")
		if !strings.Contains(metrics, "go_goroutines") || !strings.Contains(metrics, `service="`+name+`"`) {
			t.Errorf("metrics of %s do not name it:\n%.500s", name, metrics)
		}
	}
}
