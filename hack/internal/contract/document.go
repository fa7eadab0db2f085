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

// Document is an OpenAPI document, as far as the contract needs to know it.
type Document struct {
	// Operations by their name, such as "GET /products/{productId}".
	Operations map[string]*Operation
	validator  validator.Validator
}

// Operation of a document.
type Operation struct {
	// Name is the method and the path.
	Name, Method, Path string
	// ID is the operationId.
	ID string `json:"operationId"`
	// Summary and Tags are for people.
	Summary string   `json:"summary"`
	Tags    []string `json:"tags"`
	// Security is empty for an operation that is for anyone.
	Security []map[string][]string `json:"security"`
	// Roles are those who may call; none are all who have a token.
	Roles []string `json:"x-roles"`
	// Parameters of path, query and header.
	Parameters []Parameter `json:"parameters"`
	// RequestBody is nil when there is none.
	RequestBody *struct {
		Required bool `json:"required"`
	} `json:"requestBody"`
	// Responses by status.
	Responses map[string]struct {
		Content map[string]any `json:"content"`
		Headers map[string]any `json:"headers"`
	} `json:"responses"`
}

// Parameter of an operation.
type Parameter struct {
	Name string `json:"name"`
	In   string `json:"in"`
}

// headers of all answers.
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

// Read makes a Document of an OpenAPI document in JSON.
func Read(body []byte) (*Document, error) {
	var raw struct {
		Paths map[string]map[string]*Operation `json:"paths"`
	}
	if err := json.Unmarshal(body, &raw); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	d := &Document{Operations: map[string]*Operation{}}
	for path, methods := range raw.Paths {
		for method, op := range methods {
			op.Method, op.Path = strings.ToUpper(method), path
			op.Name = op.Method + " " + path
			d.Operations[op.Name] = op
		}
	}
	parsed, err := libopenapi.NewDocument(body)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	v, errs := validator.NewValidator(parsed, config.WithFormatAssertions())
	if len(errs) > 0 {
		return nil, fmt.Errorf("read the document: %w", errs[0])
	}
	d.validator = v
	return d, nil
}

// Fetch reads the document at a URL.
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

// Names of the operations, in order.
func (d *Document) Names() []string { return slices.Sorted(maps.Keys(d.Operations)) }

// find gives the operation that a request is for, or nil. A segment that is written
// out goes before one in braces. HEAD is the operation of GET.
func (d *Document) find(method, path string) *Operation {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var found *Operation
	for _, op := range d.Operations {
		if op.Method == method && op.takes(path) && (found == nil || !strings.Contains(op.Path, "{")) {
			found = op
		}
	}
	return found
}

func (o *Operation) takes(path string) bool {
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

// Public says whether anyone may call.
func (o *Operation) Public() bool { return len(o.Security) == 0 }

// Service that answers.
func (o *Operation) Service() string {
	switch first, _, _ := strings.Cut(o.Path[1:], "/"); first {
	case "auth", ".well-known":
		return "auth"
	case "products", "stock":
		return "stock"
	}
	return "sales"
}

// documents says whether a status is among the responses.
func (o *Operation) documents(status int) bool {
	_, ok := o.Responses[strconv.Itoa(status)]
	return ok
}

// inPath are the parameters of the path.
func (o *Operation) inPath() []Parameter {
	return slices.DeleteFunc(slices.Clone(o.Parameters), func(p Parameter) bool { return p.In != "path" })
}

// lists says whether the operation gives a list.
func (o *Operation) lists() bool {
	return slices.ContainsFunc(o.Parameters, func(p Parameter) bool { return p.In == "query" && p.Name == "limit" })
}
