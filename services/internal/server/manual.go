package server

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

// Manual is what a service's document says beyond the types of its operations.
type Manual struct {
	// Text is Markdown. What stands under "# products" describes the tag products, what
	// stands under "## get-product" the operation of that id.
	Text string
	// Refusals are failures by operation that a caller should know by their code.
	Refusals map[string][]error
	// Answers are the bodies of successes by operation and status, where an example made
	// of the fields' own would contradict itself. A status below 300 that the types do
	// not tell has the body and headers of the one they tell.
	Answers map[string]map[int]any
}

// Names of what Describe leaves for the document in an operation's metadata.
const (
	refusalsMetadata = "server.refusals"
	answersMetadata  = "server.answers"
)

// Describe gives the operations of api, which are registered by now, their part of
// the manual. It panics when the manual speaks of an operation that there is not: a
// reader would look for it in vain.
func Describe(api huma.API, m Manual) {
	o := api.OpenAPI()
	known := map[string]*huma.Operation{}
	for _, op := range operations(o) {
		known[op.OperationID] = op
	}
	find := func(id string) *huma.Operation {
		if known[id] == nil {
			panic(fmt.Sprintf("the manual speaks of %s, which is no operation", id))
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
	for id, bodies := range m.Answers {
		op := find(id)
		op.Metadata = withEntry(op.Metadata, answersMetadata, bodies)
		addStatuses(op, bodies)
	}
}

// addStatuses documents the statuses that only the manual knows.
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

// sections of a Markdown text by their headings of the first and second level.
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
