package server

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// exampleTime is the example of every time: a tag could not be checked by the type.
const exampleTime = "2026-11-22T10:15:30Z"

// examples of values, made of the examples that the fields' tags give.
type examples struct{ registry huma.Registry }

// of gives an example of a schema's values; nil when there is none to make it of.
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

// parameters gives those that must be sent an example. The others have theirs in the
// schema alone: a page for people sends what stands here unless they delete it.
func (e examples) parameters(op *huma.Operation) {
	for _, p := range op.Parameters {
		if p.Required {
			p.Example = e.of(p.Schema)
		}
	}
}

// bodies gives the request and the successes of an operation their examples.
func (e examples) bodies(op *huma.Operation) {
	if op.RequestBody != nil {
		e.media(op.RequestBody.Content, nil)
	}
	answers, _ := op.Metadata[answersMetadata].(map[int]any)
	for _, status := range statuses(op, success) {
		e.media(response(op, status).Content, answers[status])
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

// path of an operation with the examples of its parameters.
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

// wrong gives what the server would say of a request of the operation with a value
// that breaks a rule, or nil when no value can.
func (e examples) wrong(op *huma.Operation) []error {
	var res huma.ValidateResult
	path := huma.NewPathBuffer([]byte(""), 0)
	if media := jsonBody(op); media != nil {
		path.Push("body")
		huma.Validate(e.registry, media.Schema, path, huma.ModeWriteToServer, e.broken(media.Schema), &res)
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
	return nil
}

// broken is an example of a body without what it must have; if all may be left out,
// with something that nobody knows.
func (e examples) broken(s *huma.Schema) any {
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
	body["colour"] = "red"
	return body
}

func jsonBody(op *huma.Operation) *huma.MediaType {
	if op.RequestBody == nil {
		return nil
	}
	return op.RequestBody.Content["application/json"]
}

// takesInput says whether a request can have a value that breaks a rule.
func takesInput(op *huma.Operation) bool {
	return op.RequestBody != nil || len(op.Parameters) > 0
}
