package openapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// exampleTime is the example of every time, because huma cannot check a tag against time.Time.
const exampleTime = "2026-11-22T10:15:30Z"

// examples makes examples of values from the example tags of their fields.
type examples struct{ registry huma.Registry }

// Example returns an example of the values of a schema, made from those of its fields, or nil if it has
// none.
func Example(registry huma.Registry, s *huma.Schema) any { return examples{registry}.of(s) }

// of returns an example of the values of a schema, or nil if it has none.
func (e examples) of(s *huma.Schema) any {
	switch {
	case s == nil:
		return nil
	case len(s.Examples) > 0:
		return s.Examples[0]
	case s.Ref != "":
		return e.of(e.registry.SchemaFromRef(s.Ref))
	case s.Const != nil:
		return s.Const
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Format == "date-time":
		return exampleTime
	case s.Type == huma.TypeArray:
		return e.list(s)
	case s.Type == huma.TypeObject:
		return e.object(s)
	}
	return nil
}

func (e examples) list(s *huma.Schema) any {
	item := e.of(s.Items)
	if item == nil {
		return nil
	}
	return []any{item}
}

func (e examples) object(s *huma.Schema) any {
	out := make(map[string]any, len(s.Properties))
	for name, property := range s.Properties {
		if v := e.of(property); v != nil {
			out[name] = v
		}
	}
	return out
}

// parameters adds an example to the required parameters. Optional ones have it in the schema
// only: the documentation page would send it unless the reader deletes it.
func (e examples) parameters(op *huma.Operation) {
	for _, p := range op.Parameters {
		if p.Required {
			p.Example = e.of(p.Schema)
		}
	}
}

// bodies adds examples to the request and to the successful responses of an operation.
func (e examples) bodies(op *huma.Operation) {
	if op.RequestBody != nil {
		e.media(op.RequestBody.Content, nil)
	}
	responses, _ := op.Metadata[responsesMetadata].(map[int]any)
	for _, status := range statuses(op, success) {
		e.media(response(op, status).Content, responses[status])
	}
}

func (e examples) media(content map[string]*huma.MediaType, given any) {
	for contentType, media := range content {
		switch {
		case media.Example != nil:
		case given != nil:
			media.Example = given
		case isJSON(contentType):
			media.Example = e.of(media.Schema)
		}
	}
}

func isJSON(contentType string) bool {
	return contentType == "application/json" || strings.HasSuffix(contentType, "+json")
}

// path returns the path of an operation with the examples of its parameters.
func (e examples) path(op *huma.Operation) string {
	path := op.Path
	for _, p := range op.Parameters {
		if p.In != "path" {
			continue
		}
		if text, err := json.Marshal(e.of(p.Schema)); err == nil {
			path = strings.ReplaceAll(path, "{"+p.Name+"}", strings.Trim(string(text), `"`))
		}
	}
	return path
}

// validationErrors returns the validation errors of an invalid request of the operation. A request
// of any operation is invalid with a query parameter that the operation does not have.
func (e examples) validationErrors(op *huma.Operation) []error {
	var res huma.ValidateResult
	path := huma.NewPathBuffer([]byte(""), 0)
	if media := jsonBody(op); media != nil {
		path.Push("body")
		huma.Validate(e.registry, media.Schema, path, huma.ModeWriteToServer, e.invalidBody(media.Schema), &res)
		return res.Errors
	}
	for _, p := range op.Parameters {
		path.Push(p.In)
		path.Push(p.Name)
		var bad any = ""
		if p.Schema.Type == huma.TypeInteger {
			bad = -1
		}
		if huma.Validate(e.registry, p.Schema, path, huma.ModeWriteToServer, bad, &res); len(res.Errors) > 0 {
			return res.Errors
		}
		path.Pop()
		path.Pop()
	}
	return []error{&huma.ErrorDetail{Location: "query.color", Message: "is not a parameter: this operation has none in the query"}}
}

// invalidBody returns an example of a body without a required member, or, if none is required,
// with an unknown one.
func (e examples) invalidBody(s *huma.Schema) any {
	if s.Ref != "" {
		s = e.registry.SchemaFromRef(s.Ref)
	}
	raw, err := json.Marshal(e.of(s))
	if err != nil {
		return nil
	}
	var body map[string]any
	if json.Unmarshal(raw, &body) != nil {
		return nil
	}
	if len(s.Required) > 0 {
		delete(body, slices.Min(s.Required))
		return body
	}
	body = maps.Clone(body)
	body["color"] = "red"
	return body
}

func jsonBody(op *huma.Operation) *huma.MediaType {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"]
}
