package server

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus"

	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/buildinfo"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/problem"
)

const documentType = "application/openapi+json"

func newDocument(title string) *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: title, Version: buildinfo.Version,
			Description: "Errors are problem details (RFC 9457): decide by their `code`.",
			License:     &huma.License{Name: "MIT", Identifier: "MIT"},
		},
		Servers: []*huma.Server{{URL: "/", Description: "Where this document comes from"}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
			SecuritySchemes: map[string]*huma.SecurityScheme{authn.Scheme: {
				Type: "http", Scheme: "bearer", BearerFormat: "JWT",
				Description: "The accessToken of POST /auth/login.",
			}},
		},
		OnAddOperation: []huma.AddOpFunc{checkOperation},
	}
}

// document serves the OpenAPI document, which is complete once the first request
// comes.
func document(api huma.API) http.HandlerFunc {
	body := sync.OnceValues(func() ([]byte, error) { return render(api) })
	return func(w http.ResponseWriter, r *http.Request) {
		doc, err := body()
		if err != nil {
			problem.Write(w, r, problem.From(err))
			return
		}
		w.Header().Set("Content-Type", documentType)
		_, _ = w.Write(doc) // the client may be gone
	}
}

// render gives the whole document, once.
func render(api huma.API) ([]byte, error) {
	complete(api.OpenAPI())
	body, err := json.Marshal(api.OpenAPI())
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	return body, nil
}

// Print is the subcommand that prints the OpenAPI document of the operations that
// register registers. It needs no settings: nothing is called.
func Print(name, title string, register func(huma.API)) func(context.Context) error {
	return func(context.Context) error {
		s := New(Options{Name: name, Title: title, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
			Health: health.New(), Verifier: new(authn.Verifier)})
		register(s.api)
		body, err := render(s.api)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(append(body, '\n'))
		return err
	}
}

// complete says of every operation what is the same for all of them and what can be
// told from its types: the refusals of the server itself, headers, and examples. It
// changes nothing that a request in the meantime looks at.
func complete(o *huma.OpenAPI) {
	o.Components.Headers = commonHeaders()
	for _, op := range operations(o) {
		if op.Security == nil {
			// Public by decision, where nothing at all could be an oversight.
			op.Extensions = withEntry(op.Extensions, "security", []any{})
		}
		e := examples{o.Components.Schemas}
		e.parameters(op)
		e.refusals(op)
		e.bodies(op)
		documentHeaders(op)
	}
}

// operations of a document in the order of their paths.
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

// statuses of an operation, the successes among them if so asked.
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
