package docs_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/gateway/internal/docs"
)

func TestDocumentsBecomeOneOfWhatIsPassedOn(t *testing.T) {
	t.Parallel()
	auth := docs.Service{Name: "auth", Document: []byte(`{"paths":{
		"/auth/me":{"get":{"responses":{"200":{"schema":{"$ref":"#/components/schemas/User"}}}}},
		"/internal":{"get":{}}},
		"components":{"schemas":{"User":{"type":"object"},"Body":{"type":"string"},"Page":{"$ref":"#/components/schemas/Body"},"Problem":{"x":1}},"securitySchemes":{"bearer":{}}}}`)}
	stock := docs.Service{Name: "stock", Document: []byte(`{"paths":{
		"/products":{"get":{"a":[{"$ref":"#/components/schemas/Body"},{"$ref":"#/components/schemas/Problem"}]},"delete":{}}},
		"components":{"schemas":{"Body":{"type":"integer"},"Page":{"$ref":"#/components/schemas/Body"},"Problem":{"x":1}}}}`)}
	merged, err := docs.Merge([]docs.Service{auth, stock}, func(method, path string) bool {
		return method == "GET" && path != "/internal"
	})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Paths      map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(merged, &got); err != nil {
		t.Fatal(err)
	}
	ref := func(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }
	wantPaths := map[string]any{
		"/auth/me":  map[string]any{"get": map[string]any{"responses": map[string]any{"200": map[string]any{"schema": ref("User")}}}},
		"/products": map[string]any{"get": map[string]any{"a": []any{ref("StockBody"), ref("Problem")}}},
	}
	if diff := cmp.Diff(wantPaths, got.Paths); diff != "" {
		t.Errorf("paths (-want +got):\n%s", diff)
	}
	wantSchemas := map[string]any{
		"User": map[string]any{"type": "object"}, "Body": map[string]any{"type": "string"},
		"Page": ref("Body"), "StockPage": ref("StockBody"),
		"StockBody": map[string]any{"type": "integer"}, "Problem": map[string]any{"x": 1.0},
	}
	if diff := cmp.Diff(wantSchemas, got.Components.Schemas); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
	if _, err := docs.Merge([]docs.Service{{Name: "x", Document: []byte("{")}}, nil); err == nil {
		t.Error("a broken document was merged")
	}
}
