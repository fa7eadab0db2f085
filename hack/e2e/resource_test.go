package e2e

import (
	"strings"
	"testing"
)

func TestInvalidStackIsRejected(t *testing.T) {
	newShop(t)
	for rule, c := range map[string]struct{ spec, field string }{
		"two databases":    {`{"mysql":{"embedded":{},"external":{"host":"db","adminSecretRef":{"name":"x"}}}}`, "mysql"},
		"two brokers":      {`{"rabbitmq":{"embedded":{"replicas":2}}}`, "replicas"},
		"unknown currency": {`{"currency":"dollars"}`, "currency"},
		"unknown policy":   {`{"deletionPolicy":"Burn"}`, "deletionPolicy"},
		"no replicas":      {`{"sales":{"replicas":-1}}`, "replicas"},
	} {
		manifest := `{"apiVersion":"ecommerce-stack.dev/v1alpha1","kind":"ECommerceStack","metadata":{"name":"refused","namespace":"` +
			namespace + `"},"spec":` + c.spec + `}`
		out, err := kubectl(t, manifest, "apply", "-f", "-")
		if err == nil || !strings.Contains(out, c.field) {
			t.Errorf("%s: accepted, or the message does not name %q: %s", rule, c.field, out)
		}
	}
}

func TestStackReportsItsStatus(t *testing.T) {
	newShop(t)
	waitUntilReady(t)
	table := mustKubectl(t, "-n", namespace, "get", "estack", stack)
	for _, column := range []string{"READY", "STATUS", "ENDPOINT", "VERSION", "AGE", "True"} {
		if !strings.Contains(table, column) {
			t.Errorf("kubectl get estack has no column %s:\n%s", column, table)
		}
	}
	for _, condition := range []string{"Ready", "DatabaseReady", "BrokerReady", "KeysReady", "WorkloadsReady"} {
		got := mustKubectl(t, "-n", namespace, "get", "estack", stack, "-o", `jsonpath={.status.conditions[?(@.type=="`+condition+`")].status}`)
		if got != "True" {
			t.Errorf("condition %s is %q, want True", condition, got)
		}
	}
	if doc := mustKubectl(t, "explain", "estack.spec.deletionPolicy"); !strings.Contains(doc, "Retain") {
		t.Errorf("kubectl explain does not describe deletionPolicy:\n%s", doc)
	}
}

// TestPodsRunRestricted checks that the namespace enforces the Pod Security level and
// that every pod of the stack runs in it.
func TestPodsRunRestricted(t *testing.T) {
	newShop(t)
	if got := mustKubectl(t, "get", "namespace", namespace, "-o", `jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}`); got != "restricted" {
		t.Errorf("namespace %s enforces %q, want restricted", namespace, got)
	}
	pods := mustKubectl(t, "-n", namespace, "get", "pods", "-l", "app.kubernetes.io/instance="+stack, "-o",
		`jsonpath={range .items[*]}{.metadata.labels.app\.kubernetes\.io/name}{" "}{end}`)
	for _, name := range []string{"gateway", "auth", "sales", "stock", "mysql", "rabbitmq"} {
		if !strings.Contains(pods, name) {
			t.Errorf("no pod of %s runs: %s", name, pods)
		}
	}
}
