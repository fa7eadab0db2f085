package chart_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/chart"
)

func operatorObjects(t *testing.T, values map[string]any) []*unstructured.Unstructured {
	t.Helper()
	loaded, err := chart.Load(charts.Operator)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := loaded.Render(charts.Operator, "ecommerce", "ecommerce-system", values)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func rules(t *testing.T, object *unstructured.Unstructured) []rbacv1.PolicyRule {
	t.Helper()
	var role rbacv1.ClusterRole
	if !strings.HasSuffix(object.GetKind(), "Role") {
		return nil
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &role); err != nil {
		t.Fatal(err)
	}
	return role.Rules
}

func TestOperatorPermissionsMatchGoldenFile(t *testing.T) {
	t.Parallel()
	got := bytes.NewBufferString("# Permissions of the operator as installed by its chart (release ecommerce, namespace ecommerce-system).\n")
	for _, object := range operatorObjects(t, nil) {
		if strings.Contains(object.GetKind(), "Role") {
			encoded, err := yaml.Marshal(object.Object)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(got, "---\n%s", encoded)
		}
	}
	file := filepath.Join("..", "..", "..", "config", "rbac", "operator.yaml")
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("run `go test ./internal/chart -update` if the difference is intended (-want +got):\n%s", diff)
	}
}

func TestOperatorHasRequiredPermissionsWithoutWildcards(t *testing.T) {
	t.Parallel()
	allowed := map[string]bool{}
	for _, object := range operatorObjects(t, nil) {
		for _, rule := range rules(t, object) {
			for _, list := range [][]string{rule.APIGroups, rule.Resources, rule.Verbs} {
				if slices.Contains(list, "*") {
					t.Errorf("%s %s has a wildcard", object.GetKind(), object.GetName())
				}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, verb := range rule.Verbs {
						allowed[group+"/"+resource+" "+verb] = true
					}
				}
			}
		}
	}
	for _, kind := range apply.Kinds {
		resource := strings.ToLower(kind.Kind) + "s"
		switch kind.Kind {
		case "NetworkPolicy":
			resource = "networkpolicies"
		case "Ingress":
			resource = "ingresses"
		}
		for _, verb := range []string{"get", "list", "watch", "create", "patch", "delete"} {
			if !allowed[kind.Group+"/"+resource+" "+verb] {
				t.Errorf("the operator has no permission to %s %s", verb, resource)
			}
		}
	}
	for _, verb := range []string{"get", "list", "create", "patch", "delete"} {
		for _, resource := range []string{apply.HTTPRoute.Group + "/httproutes", apply.PodMonitor.Group + "/podmonitors"} {
			if !allowed[resource+" "+verb] {
				t.Errorf("the operator has no permission to %s %s", verb, resource)
			}
		}
	}
}

func TestNamespacedOperatorHasNoPermissionsElsewhere(t *testing.T) {
	t.Parallel()
	for _, object := range operatorObjects(t, map[string]any{"watchNamespaces": []any{"shop"}}) {
		switch object.GetKind() {
		case "ClusterRoleBinding":
			t.Errorf("ClusterRoleBinding %s", object.GetName())
		case "RoleBinding":
			if !slices.Contains([]string{"shop", "ecommerce-system"}, object.GetNamespace()) {
				t.Errorf("RoleBinding in namespace %s", object.GetNamespace())
			}
		}
	}
}
