package contract_test

import (
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"ecommerce-stack.dev/hack/internal/contract"
)

// TestRoutesAndDocumentsAreOneSet compares what the gateway passes on and for whom,
// what its document says, and what the services say of themselves.
func TestRoutesAndDocumentsAreOneSet(t *testing.T) {
	at := target(t)
	merged := document(t, at.URL)
	documented := map[string]any{}
	for name, op := range merged.Operations {
		documented[name] = access(op)
	}
	if diff := cmp.Diff(routed(t), documented); diff != "" {
		t.Errorf("operations of the gateway's document, and for whom (-routes +document):\n%s", diff)
	}
	var own []string
	for name, url := range at.Services {
		d := document(t, url)
		for _, op := range d.Names() {
			if got := d.Operations[op].Service(); got != name {
				t.Errorf("%s is documented by %s, and belongs to %s", op, name, got)
			}
		}
		own = append(own, d.Names()...)
	}
	slices.Sort(own)
	if diff := cmp.Diff(own, merged.Names()); diff != "" {
		t.Errorf("operations of the gateway's document (-services +document):\n%s", diff)
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

// access as the table of the gateway has it.
func access(op *contract.Operation) any {
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

// routed are the operations of the gateway's table, and for whom they are.
func routed(t *testing.T) map[string]any {
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
