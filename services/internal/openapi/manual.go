package openapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"ecommerce-stack.dev/services/internal/problem"
)

// Manual is the part of a service's document that does not follow from types.
type Manual struct {
	// Text is Markdown. The section "# products" describes the tag products, the section
	// "## get-product" the operation of that id.
	Text string
	// Refusals are the problems of operations that clients distinguish by their code.
	Refusals map[string][]error
	// Responses are example bodies of successful responses by operation and status, where an
	// example made from those of the fields would be inconsistent. A status below 300 without
	// a type has the body and header fields of the default one.
	Responses map[string]map[int]any
}

// Keys of the metadata of an operation that Describe sets.
const (
	refusalsMetadata  = "openapi.refusals"
	responsesMetadata = "openapi.responses"
)

// Describe adds the manual to the operations of api, which are registered before. It panics
// if the manual names an operation that does not exist.
func Describe(api huma.API, m Manual) {
	o := api.OpenAPI()
	known := map[string]*huma.Operation{}
	for _, op := range operations(o) {
		known[op.OperationID] = op
	}
	find := func(id string) *huma.Operation {
		if known[id] == nil {
			panic(fmt.Sprintf("the manual names %s, which is not an operation", id))
		}
		return known[id]
	}
	for heading, text := range sections(m.Text) {
		if tag, ok := strings.CutPrefix(heading, "# "); ok {
			o.Tags = append(o.Tags, &huma.Tag{Name: tag, Description: text})
			continue
		}
		find(strings.TrimPrefix(heading, "## ")).Description = text
	}
	slices.SortFunc(o.Tags, func(a, b *huma.Tag) int { return strings.Compare(a.Name, b.Name) })
	for id, errs := range m.Refusals {
		op := find(id)
		known := make([]*problem.Problem, len(errs))
		for i, err := range errs {
			known[i] = problem.From(err)
		}
		op.Metadata = withEntry(op.Metadata, refusalsMetadata, known)
	}
	for id, bodies := range m.Responses {
		op := find(id)
		op.Metadata = withEntry(op.Metadata, responsesMetadata, bodies)
		addStatuses(op, bodies)
	}
}

// addStatuses documents the statuses that only the manual has.
func addStatuses(op *huma.Operation, bodies map[int]any) {
	of := response(op, op.DefaultStatus)
	for status := range bodies {
		if response(op, status) != nil || of == nil {
			continue
		}
		added := &huma.Response{Description: http.StatusText(status), Headers: maps.Clone(of.Headers), Content: map[string]*huma.MediaType{}}
		for contentType, media := range of.Content {
			added.Content[contentType] = &huma.MediaType{Schema: media.Schema}
		}
		op.Responses[strconv.Itoa(status)] = added
	}
}

// sections returns the sections of a Markdown text by their headings of the first and second
// level.
func sections(text string) map[string]string {
	out := map[string]string{}
	var heading string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "## ") {
			heading = strings.TrimSpace(line)
			continue
		}
		out[heading] += line
	}
	delete(out, "")
	for heading, text := range out {
		out[heading] = strings.TrimSpace(text)
	}
	return out
}
