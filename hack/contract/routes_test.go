package contract_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestRoutesMatchDocuments compares the gateway's routes, its document and the services'
// documents.
func TestRoutesMatchDocuments(t *testing.T) {
	at := target(t)
	merged := document(t, at.URL)
	documented := map[string]any{}
	for name, op := range merged.Operations {
		documented[name] = accessOf(op)
	}
	if diff := cmp.Diff(routeTable(t), documented); diff != "" {
		t.Errorf("operations and access (-routes +document):\n%s", diff)
	}
	var own []string
	for name, url := range at.Services {
		d := document(t, url)
		for _, op := range d.Names() {
			if got := d.Operations[op].Service(); got != name {
				t.Errorf("%s is documented by %s, but belongs to %s", op, name, got)
			}
		}
		own = append(own, d.Names()...)
	}
	slices.Sort(own)
	if diff := cmp.Diff(own, merged.Names()); diff != "" {
		t.Errorf("operations (-services +gateway):\n%s", diff)
	}
}

func document(t *testing.T, url string) *contract.Document {
	t.Helper()
	d, err := contract.Fetch(t.Context(), url+"/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// accessOf returns the access of an operation in the form of the gateway's route table.
func accessOf(op *contract.Operation) any {
	switch {
	case op.Public():
		return "public"
	case len(op.Roles) == 0:
		return "any"
	}
	roles := make([]any, len(op.Roles))
	for i, r := range op.Roles {
		roles[i] = r
	}
	return roles
}

// routeTable returns the access of the operations in the gateway's route table.
func routeTable(t *testing.T) map[string]any {
	t.Helper()
	body, err := os.ReadFile("../../services/gateway/internal/route/routes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var table struct {
		Routes []struct {
			Path    string   `yaml:"path"`
			Methods []string `yaml:"methods"`
			Access  any      `yaml:"access"`
		} `yaml:"routes"`
	}
	if err := yaml.Unmarshal(body, &table); err != nil {
		t.Fatal(err)
	}
	operations := map[string]any{}
	for _, r := range table.Routes {
		for _, method := range r.Methods {
			operations[method+" "+r.Path] = r.Access
		}
	}
	return operations
}
