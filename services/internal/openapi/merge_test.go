package openapi_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ecommerce-stack.dev/services/internal/openapi"
)

type object = map[string]any

// merge the documents of auth and stock by a table of routes.
func merge(t *testing.T, auth, stock string, routes map[string]*openapi.Forwarded) object {
	t.Helper()
	merged, err := openapi.Merge([]openapi.Service{{Name: "auth", Document: []byte(auth)}, {Name: "stock", Document: []byte(stock)}},
		func(method, path string) *openapi.Forwarded { return routes[method+" "+path] })
	if err != nil {
		t.Fatal(err)
	}
	var doc object
	if err := json.Unmarshal(merged, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// responseOf returns a response of an operation, also a shared one.
func responseOf(t *testing.T, doc object, path, method, status string) object {
	t.Helper()
	res := at(t, doc, "paths", path, method, "responses", status).(object)
	if ref, ok := res["$ref"].(string); ok {
		return at(t, doc, "components", "responses", strings.TrimPrefix(ref, "#/components/responses/")).(object)
	}
	return res
}

func TestMergeSharesProblems(t *testing.T) {
	t.Parallel()
	problem := func(code, path string) string {
		return `{"description":"Not Found: ` + "`" + code + "`" + `","content":{"application/problem+json":{"examples":{"` + code + `":{"value":{"code":"` + code + `","instance":"` + path + `"}}}}}}`
	}
	doc := merge(t, `{"paths":{
		"/a":{"get":{"responses":{"200":{"description":"OK"},"404":`+problem("thing_not_found", "/a")+`}}},
		"/b":{"get":{"responses":{"200":{"description":"OK"},"404":`+problem("thing_not_found", "/b")+`}}},
		"/c":{"get":{"responses":{"200":{"description":"OK"},"404":`+problem("other_not_found", "/c")+`}}}}}`, `{}`,
		map[string]*openapi.Forwarded{"GET /a": plain, "GET /b": plain, "GET /c": plain})
	shared := object{"$ref": "#/components/responses/NotFoundThingNotFound"}
	for _, path := range []string{"/a", "/b"} {
		if diff := cmp.Diff(any(shared), at(t, doc, "paths", path, "get", "responses", "404")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
	if responseOf(t, doc, "/a", "get", "404")["content"] == nil || at(t, doc, "paths", "/c", "get", "responses", "404", "content") == nil {
		t.Errorf("a response has no content: %v", doc)
	}
	for _, path := range []string{"/a", "/b", "/c"} {
		if at(t, doc, "paths", path, "get", "responses", "200", "$ref") != nil {
			t.Errorf("%s: a success is shared", path)
		}
		if at(t, responseOf(t, doc, path, "get", "default"), "content", "application/problem+json", "schema", "$ref") != "#/components/schemas/Problem" {
			t.Errorf("%s: the default response is no problem", path)
		}
	}
}

// at follows the names into a document.
func at(t *testing.T, doc object, names ...string) any {
	t.Helper()
	var v any = doc
	for i, name := range names {
		o, ok := v.(object)
		if !ok {
			t.Fatalf("there is no object at %v", names[:i])
		}
		v = o[name]
	}
	return v
}

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

var plain = &openapi.Forwarded{}

func TestMergeContainsOnlyForwardedOperations(t *testing.T) {
	t.Parallel()
	doc := merge(t, `{"paths":{
		"/auth/me":{"get":{"a":{"$ref":"#/components/schemas/User"}, "b":{"$ref":"#/components/schemas/Body"}, "c":{"$ref":"#/components/schemas/Page"}}},
		"/internal":{"get":{"a":{"$ref":"#/components/schemas/Unused"}}}},
		"components":{"schemas":{"User":{"type":"object"},"Body":{"type":"string"},"Page":{"$ref":"#/components/schemas/Body"},"Problem":{"x":1},"Unused":{}}}}`,
		`{"paths":{"/products":{"get":{"a":[{"$ref":"#/components/schemas/Page"}]},"delete":{}}},
		"components":{"schemas":{"Body":{"type":"integer"},"Page":{"$ref":"#/components/schemas/Body"},"Problem":{"x":1}}}}`,
		map[string]*openapi.Forwarded{"GET /auth/me": plain, "GET /products": plain})
	if diff := cmp.Diff([]any{ref("StockPage")}, at(t, doc, "paths", "/products", "get", "a")); diff != "" {
		t.Errorf("reference (-want +got):\n%s", diff)
	}
	if at(t, doc, "paths", "/products", "delete") != nil || at(t, doc, "paths", "/internal") != nil {
		t.Error("an operation without a route is in the document")
	}
	wantSchemas := object{
		"User": object{"type": "object"}, "Body": object{"type": "string"},
		"Page": ref("Body"), "StockPage": ref("StockBody"),
		"StockBody": object{"type": "integer"}, "Problem": object{"x": 1.0},
	}
	if diff := cmp.Diff(wantSchemas, at(t, doc, "components", "schemas")); diff != "" {
		t.Errorf("schemas (-want +got):\n%s", diff)
	}
	if _, err := openapi.Merge([]openapi.Service{{Name: "x", Document: []byte("{")}}, nil); err == nil {
		t.Error("a broken document was merged")
	}
}

func TestMergeRenamesAlternatives(t *testing.T) {
	t.Parallel()
	const get = `{"get":{"a":{"$ref":"#/components/schemas/Entry"}}}`
	const union = `"Entry":{"oneOf":[{"$ref":"#/components/schemas/Sold"}],"discriminator":{"propertyName":"type","mapping":{"Sold":"#/components/schemas/Sold"}}}`
	doc := merge(t, `{"paths":{"/a":`+get+`},"components":{"schemas":{`+union+`,"Sold":{"type":"object"}}}}`,
		`{"paths":{"/b":`+get+`},"components":{"schemas":{`+union+`,"Sold":{"type":"string"}}}}`,
		map[string]*openapi.Forwarded{"GET /a": plain, "GET /b": plain})
	want := object{"oneOf": []any{ref("StockSold")}, "discriminator": object{"propertyName": "type",
		"mapping": object{"Sold": "#/components/schemas/StockSold"}}}
	if diff := cmp.Diff(want, at(t, doc, "components", "schemas", "StockEntry")); diff != "" {
		t.Errorf("the union of the second service (-want +got):\n%s", diff)
	}
}

func TestMergePreservesServiceDescriptions(t *testing.T) {
	t.Parallel()
	const response = `{"description":"OK","headers":{"ETag":{"$ref":"#/components/headers/ETag"}},"content":{"application/json":{"example":{"id":7}}}}`
	doc := merge(t, `{"tags":[{"name":"auth","description":"Accounts"},{"name":"internal","description":"Not passed on"}],
		"paths":{"/auth/me":{"get":{"tags":["auth"],"operationId":"get-me","description":"Me.","security":[{"bearer":[]}],"x-roles":["Manager"],"responses":{"200":`+response+`}}}},
		"components":{"headers":{"ETag":{"description":"Version"},"Unused":{}},"securitySchemes":{"bearer":{"type":"http"}}}}`,
		`{"tags":[{"name":"auth","description":"Again"}],"paths":{}}`, map[string]*openapi.Forwarded{"GET /auth/me": plain})
	me := at(t, doc, "paths", "/auth/me", "get").(object)
	said := object{"operationId": "get-me", "description": "Me.", "x-roles": []any{"Manager"}, "security": []any{object{"bearer": []any{}}}}
	for name, want := range said {
		if diff := cmp.Diff(want, me[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if diff := cmp.Diff([]any{object{"name": "auth", "description": "Accounts"}}, doc["tags"]); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	if got := at(t, me, "responses", "200", "content", "application/json", "example", "id"); got != 7.0 {
		t.Errorf("the example became %v", got)
	}
	headers := at(t, doc, "components", "headers").(object)
	if at(t, headers, "ETag", "description") != "Version" || headers["Unused"] != nil || at(t, doc, "components", "securitySchemes", "bearer") == nil {
		t.Errorf("components: %v", doc["components"])
	}
	if servers, _ := doc["servers"].([]any); len(servers) != 1 || at(t, doc, "info", "license", "identifier") != "MIT" {
		t.Errorf("servers %v, info %v", doc["servers"], doc["info"])
	}
}

func TestMergeAddsGatewayLimitsAndProblems(t *testing.T) {
	t.Parallel()
	doc := merge(t, `{"paths":{
		"/auth/login":{"post":{"responses":{"200":{},"429":{"description":"Too Many Requests: `+"`too_many_attempts`"+`",
			"content":{"application/problem+json":{"examples":{"too_many_attempts":{"value":{}}}}}}}}},
		"/sales":{"post":{"parameters":[{"name":"Prefer","in":"header"}],"responses":{"202":{}}}},
		"/products/{id}":{"get":{"parameters":[{"name":"id","in":"path","example":7}],"responses":{"200":{},"304":{},"404":{}}}}}}`, `{}`,
		map[string]*openapi.Forwarded{"POST /auth/login": plain, "POST /sales": plain, "GET /products/{id}": {Cached: true}})
	codes := func(path, method string) []string {
		var names []string
		for name := range at(t, responseOf(t, doc, path, method, "429"), "content", "application/problem+json", "examples").(object) {
			names = append(names, name)
		}
		slices.Sort(names)
		return names
	}
	for _, c := range []struct {
		path, method string
		want         []string
	}{
		{"/auth/login", "post", []string{"rate_limited", "too_many_attempts"}},
		{"/sales", "post", []string{"rate_limited", "too_many_streams"}},
		{"/products/{id}", "get", []string{"rate_limited"}},
	} {
		if diff := cmp.Diff(c.want, codes(c.path, c.method)); diff != "" {
			t.Errorf("%s: codes of a 429 (-want +got):\n%s", c.path, diff)
		}
		for status := range at(t, doc, "paths", c.path, c.method, "responses").(object) {
			res := responseOf(t, doc, c.path, c.method, status)
			if at(t, res, "headers", "RateLimit-Remaining", "$ref") != "#/components/headers/RateLimit-Remaining" {
				t.Errorf("%s %s has no RateLimit headers", c.path, status)
			}
			for _, name := range []string{"X-Request-Id", "Traceparent"} {
				if at(t, res, "headers", name, "$ref") == nil {
					t.Errorf("%s %s has no %s", c.path, status, name)
				}
			}
			cached := at(t, res, "headers", "Cache-Status") != nil
			if want := c.method == "get" && (status == "200" || status == "304"); cached != want {
				t.Errorf("%s %s: Cache-Status %v, want %v", c.path, status, cached, want)
			}
		}
		if at(t, responseOf(t, doc, c.path, c.method, "503"), "headers", "Retry-After") == nil {
			t.Errorf("%s: a 503 has no Retry-After", c.path)
		}
	}
	login := at(t, responseOf(t, doc, "/auth/login", "post", "429"), "description").(string)
	if !strings.Contains(login, "too_many_attempts") || !strings.Contains(login, "rate_limited") {
		t.Errorf("429 of a login: %q", login)
	}
	instance := at(t, responseOf(t, doc, "/products/{id}", "get", "429"), "content", "application/problem+json", "examples", "rate_limited", "value", "instance")
	if instance != "/products/7" {
		t.Errorf("instance %v", instance)
	}
}
