package contract

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
)

// Document is the part of an OpenAPI document that the tests use.
type Document struct {
	// Operations are the operations by name, such as "GET /products/{productId}".
	Operations map[string]*Operation
	validator  validator.Validator
}

// Operation is an operation of a document.
type Operation struct {
	// Name is the method and the path.
	Name, Method, Path string
	// ID is the operationId.
	ID string `json:"operationId"`
	// Summary and Tags are descriptions.
	Summary string   `json:"summary"`
	Tags    []string `json:"tags"`
	// Security is empty for a public operation.
	Security []map[string][]string `json:"security"`
	// Roles are the roles that may call; if it is empty, every authenticated user may.
	Roles []string `json:"x-roles"`
	// Parameters are those of path, query and header.
	Parameters []Parameter `json:"parameters"`
	// RequestBody is nil if the operation has no body.
	RequestBody *struct {
		Required bool `json:"required"`
	} `json:"requestBody"`
	// Responses are the responses by status.
	Responses map[string]Response `json:"responses"`
}

// Response is a response of a document.
type Response struct {
	Ref     string         `json:"$ref"`
	Content map[string]any `json:"content"`
	Headers map[string]any `json:"headers"`
}

// resolve replaces references to shared responses, and removes the default one: the cases require
// that each status is documented.
func (o *Operation) resolve(shared map[string]Response) {
	delete(o.Responses, "default")
	for status, r := range o.Responses {
		if r.Ref != "" {
			o.Responses[status] = shared[strings.TrimPrefix(r.Ref, "#/components/responses/")]
		}
	}
}

// Parameter is a parameter of an operation.
type Parameter struct {
	Name string `json:"name"`
	In   string `json:"in"`
}

// headers returns the names of the headers of all responses.
func (d *Document) headers() map[string]bool {
	headers := map[string]bool{}
	for _, op := range d.Operations {
		for _, res := range op.Responses {
			for name := range res.Headers {
				headers[name] = true
			}
		}
	}
	return headers
}

// Read parses an OpenAPI document in JSON.
func Read(body []byte) (*Document, error) {
	var raw struct {
		Paths      map[string]map[string]*Operation `json:"paths"`
		Components struct {
			Responses map[string]Response `json:"responses"`
		} `json:"components"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	d := &Document{Operations: map[string]*Operation{}}
	for path, methods := range raw.Paths {
		for method, op := range methods {
			op.resolve(raw.Components.Responses)
			op.Method, op.Path = strings.ToUpper(method), path
			op.Name = op.Method + " " + path
			d.Operations[op.Name] = op
		}
	}
	closed, err := closeSchemas(body)
	if err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	parsed, err := libopenapi.NewDocument(closed)
	if err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	v, errs := validator.NewValidator(parsed, config.WithFormatAssertions())
	if len(errs) > 0 {
		return nil, fmt.Errorf("parse the document: %w", errs[0])
	}
	d.validator = v
	return d, nil
}

// closeSchemas returns a document whose objects accept no undeclared fields, unless they allow them
// explicitly. Clients accept fields of later releases; the tests find fields that are not documented.
func closeSchemas(body []byte) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, err
	}
	components, _ := doc["components"].(map[string]any)
	all, _ := components["schemas"].(map[string]any)
	for _, v := range all {
		if schema, ok := v.(map[string]any); ok && schema["properties"] != nil && schema["additionalProperties"] == nil {
			schema["additionalProperties"] = false
		}
	}
	return json.Marshal(doc)
}

// Fetch reads and parses the document at a URL.
func Fetch(ctx context.Context, url string) (*Document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, res.Status)
	}
	return Read(body)
}

func fetchDocument(t *testing.T, url string) *Document {
	t.Helper()
	d, err := Fetch(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// Names returns the names of the operations, sorted.
func (d *Document) Names() []string { return slices.Sorted(maps.Keys(d.Operations)) }

// find returns the operation of a request, or nil. A literal path segment has
// precedence over a parameter. HEAD has the operation of GET.
func (d *Document) find(method, path string) *Operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var found *Operation
	for _, op := range d.Operations {
		if op.Method == method && op.matches(path) && (found == nil || !strings.Contains(op.Path, "{")) {
			found = op
		}
	}
	return found
}

func (o *Operation) matches(path string) bool {
	mine, theirs := strings.Split(o.Path, "/"), strings.Split(path, "/")
	if len(mine) != len(theirs) {
		return false
	}
	for i, segment := range mine {
		if segment != theirs[i] && (theirs[i] == "" || !strings.HasPrefix(segment, "{")) {
			return false
		}
	}
	return true
}

// Public reports whether the operation requires no token.
func (o *Operation) Public() bool { return len(o.Security) == 0 }

// Service returns the name of the service that handles the operation.
func (o *Operation) Service() string {
	switch first, _, _ := strings.Cut(o.Path[1:], "/"); first {
	case "auth", ".well-known":
		return "auth"
	case "products", "stock":
		return "stock"
	}
	return "sales"
}

// documents reports whether the status is among the responses.
func (o *Operation) documents(status int) bool {
	_, ok := o.Responses[strconv.Itoa(status)]
	return ok
}

// pathParameters returns the parameters of the path.
func (o *Operation) pathParameters() []Parameter {
	return slices.DeleteFunc(slices.Clone(o.Parameters), func(p Parameter) bool { return p.In != "path" })
}

// hasHeader reports whether the operation has a header parameter.
func (o *Operation) hasHeader(name string) bool {
	return slices.ContainsFunc(o.Parameters, func(p Parameter) bool { return p.In == "header" && p.Name == name })
}

// isList reports whether the operation returns a list.
func (o *Operation) isList() bool {
	return slices.ContainsFunc(o.Parameters, func(p Parameter) bool { return p.In == "query" && p.Name == "limit" })
}
