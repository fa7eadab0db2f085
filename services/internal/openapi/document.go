package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/buildinfo"
	"ecommerce-stack.dev/services/internal/problem"
)

// ContentType is the media type of a document.
const ContentType = "application/openapi+json"

// Whom to ask about the API.
const contactName, contactURL = "The operators of the store", "https://ecommerce-stack.dev"

// New returns the document of a service without operations. added is called with each
// operation that is registered.
func New(title string, added huma.AddOpFunc) *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: title, Version: buildinfo.Version,
			Description: "Errors are problem details (RFC 9457): decide by their `code`.",
			License:     &huma.License{Name: "MIT", Identifier: "MIT"},
			Contact:     &huma.Contact{Name: contactName, URL: contactURL},
		},
		Servers: []*huma.Server{{URL: "/", Description: "The service of this document"}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{authn.Scheme: {
				Type: "http", Scheme: "bearer", BearerFormat: "JWT",
				Description: "The accessToken of POST /auth/login.",
			}},
		},
		OnAddOperation: []huma.AddOpFunc{added},
	}
}

// schemaName returns the name of the schema of a type. A page.Page[Product] is a ProductPage.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if item, ok := strings.CutPrefix(name, "Page"); ok && item != "" && unicode.IsUpper(rune(item[0])) {
		return item + "Page"
	}
	return name
}

// Handler returns a handler that serves the document of api. It is rendered at the first
// request, when all operations are registered.
func Handler(api huma.API) http.HandlerFunc {
	body := sync.OnceValues(func() ([]byte, error) { return Render(api) })
	return func(w http.ResponseWriter, r *http.Request) {
		doc, err := body()
		if err != nil {
			problem.Write(w, r, problem.From(err))
			return
		}
		w.Header().Set("Content-Type", ContentType)
		_, _ = w.Write(doc) // the client may be gone
	}
}

// Render returns the complete document of api, in JSON. It is called once for an api.
func Render(api huma.API) ([]byte, error) {
	complete(api.OpenAPI())
	doc, ok := jsonValue(api.OpenAPI()).(object)
	if !ok {
		return nil, errors.New("the OpenAPI document cannot be encoded")
	}
	forClients(doc)
	body, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	return body, nil
}

// complete adds to every operation what follows from its types or is common to all: the
// problems of the server, header fields, and examples. It changes nothing that a concurrent
// request reads.
func complete(o *huma.OpenAPI) {
	o.Components.Headers = commonHeaders()
	for _, op := range operations(o) {
		if op.Security == nil {
			// An explicit empty list: the operation is public on purpose.
			op.Extensions = withEntry(op.Extensions, "security", []any{})
		}
		e := examples{o.Components.Schemas}
		e.parameters(op)
		e.refusals(op)
		e.bodies(op)
		documentHeaders(op)
	}
}

// operations returns the operations of a document in the order of their paths.
func operations(o *huma.OpenAPI) []*huma.Operation {
	var all []*huma.Operation
	for _, path := range slices.Sorted(maps.Keys(o.Paths)) {
		item := o.Paths[path]
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				all = append(all, op)
			}
		}
	}
	return all
}

// statuses returns the statuses of the responses of an operation that a predicate selects.
func statuses(op *huma.Operation, wanted func(status int) bool) []int {
	var all []int
	for text := range op.Responses {
		if status, err := strconv.Atoi(text); err == nil && wanted(status) {
			all = append(all, status)
		}
	}
	slices.Sort(all)
	return all
}

func success(status int) bool { return status < http.StatusMultipleChoices }

func response(op *huma.Operation, status int) *huma.Response {
	return op.Responses[strconv.Itoa(status)]
}

func withEntry(m map[string]any, key string, value any) map[string]any {
	out := maps.Clone(m)
	if out == nil {
		out = map[string]any{}
	}
	out[key] = value
	return out
}
