package servertest

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// CheckDocument fails the test for everything that a reader of the OpenAPI document
// at /openapi.json would miss.
func CheckDocument(t testing.TB, h http.Handler) {
	t.Helper()
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/openapi.json", nil))
	if rec.Code != http.StatusOK {
		t.Fatalf("/openapi.json: got %d %s", rec.Code, rec.Body)
	}
	gaps, err := Gaps(rec.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	for _, gap := range gaps {
		t.Error(gap)
	}
}

// Gaps names what an OpenAPI document leaves unsaid: descriptions, examples of
// bodies, parameters, headers and fields; and examples that break their own schema.
func Gaps(document []byte) ([]string, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	r := &reader{compiler: jsonschema.NewCompiler(), root: doc.(object)}
	r.compiler.AssertFormat()
	if err := r.compiler.AddResource(location, doc); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	r.read()
	slices.Sort(r.gaps)
	return slices.Compact(r.gaps), nil
}

type object = map[string]any

// location of the document, for references within it.
const location = "memory:///openapi.json"

type reader struct {
	compiler *jsonschema.Compiler
	root     object
	gaps     []string
}

func (r *reader) gap(where pointer, format string, args ...any) {
	r.gaps = append(r.gaps, where.String()+": "+fmt.Sprintf(format, args...))
}

// pointer is where something is in the document (RFC 6901).
type pointer []string

func (p pointer) at(names ...string) pointer { return slices.Concat(p, names) }

func (p pointer) String() string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, name := range p {
		b.WriteString("/" + escape.Replace(name))
	}
	return b.String()
}

func (r *reader) read() {
	tags := map[string]bool{}
	for i, v := range list(r.root["tags"]) {
		tag := v.(object)
		tags[str(tag["name"])] = true
		r.described(pointer{"tags", fmt.Sprint(i)}, tag)
	}
	for path, item := range r.members(pointer{"paths"}) {
		for method := range item {
			r.operation(pointer{"paths", path, method}, item[method].(object), tags)
		}
	}
	for name, schema := range r.members(pointer{"components", "schemas"}) {
		r.fields(pointer{"components", "schemas", name}, schema)
	}
	for name, header := range r.members(pointer{"components", "headers"}) {
		r.value(pointer{"components", "headers", name}, header)
	}
}

func (r *reader) operation(at pointer, op object, tags map[string]bool) {
	r.described(at, op)
	if str(op["summary"]) == "" {
		r.gap(at, "no summary")
	}
	for _, tag := range list(op["tags"]) {
		if !tags[str(tag)] {
			r.gap(at, "tag %s has no description", tag)
		}
	}
	for i, p := range list(op["parameters"]) {
		r.value(at.at("parameters", fmt.Sprint(i)), p.(object))
	}
	r.content(at.at("requestBody"))
	succeeds := false
	for status, res := range r.members(at.at("responses")) {
		succeeds = succeeds || strings.HasPrefix(status, "2")
		in := at.at("responses", status)
		r.described(in, res)
		r.content(in)
		for name, h := range r.members(in.at("headers")) {
			if h["$ref"] == nil {
				r.value(in.at("headers", name), h)
			}
		}
	}
	if !succeeds {
		r.gap(at, "no success")
	}
}

// value is a parameter or a header.
func (r *reader) value(at pointer, v object) {
	r.described(at, v)
	schema, _ := v["schema"].(object)
	examples := list(schema["examples"])
	if v["example"] != nil {
		examples = append(examples, v["example"])
	}
	if len(examples) == 0 && schema["enum"] == nil {
		r.gap(at, "no example (%v)", v["name"])
	}
	for _, example := range examples {
		r.fits(at, at.at("schema"), example)
	}
}

// content of a request or an answer has an example by media type.
func (r *reader) content(at pointer) {
	for contentType, media := range r.members(at.at("content")) {
		in := at.at("content", contentType)
		examples := map[string]any{}
		if media["example"] != nil {
			examples["example"] = media["example"]
		}
		for name, v := range r.members(in.at("examples")) {
			examples[name] = v["value"]
		}
		if len(examples) == 0 {
			r.gap(in, "no example")
		}
		for _, example := range examples {
			r.fits(in, in.at("schema"), example)
		}
	}
}

// fields of a schema are described, and have an example unless theirs can be made.
func (r *reader) fields(at pointer, schema object) {
	for i, example := range list(schema["examples"]) {
		r.fits(at.at("examples", fmt.Sprint(i)), at, example)
	}
	for name, property := range r.members(at.at("properties")) {
		in := at.at("properties", name)
		r.described(in, property)
		if !speaksForItself(property) {
			r.gap(in, "no example")
		}
		r.fields(in, property)
	}
	if items, ok := schema["items"].(object); ok {
		r.fields(at.at("items"), items)
	}
}

func speaksForItself(s object) bool {
	items, _ := s["items"].(object)
	return s["examples"] != nil || s["$ref"] != nil || s["enum"] != nil || s["properties"] != nil ||
		s["format"] == "date-time" || items != nil && speaksForItself(items)
}

func (r *reader) described(at pointer, o object) {
	if str(o["description"]) == "" {
		r.gap(at, "no description (%v)", o["name"])
	}
}

func (r *reader) fits(at, schema pointer, v any) {
	s, err := r.compiler.Compile(location + "#" + schema.String())
	if err != nil {
		r.gap(at, "its schema cannot be read: %v", err)
		return
	}
	if err := s.Validate(v); err != nil {
		r.gap(at, "the example does not fit: %v", err)
	}
}

// members of the object at a place that are objects themselves.
func (r *reader) members(at pointer) map[string]object {
	o := r.root
	for _, name := range at {
		next, ok := o[name].(object)
		if !ok {
			return nil
		}
		o = next
	}
	out := map[string]object{}
	for name := range maps.Keys(o) {
		if member, ok := o[name].(object); ok {
			out[name] = member
		}
	}
	return out
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func str(v any) string {
	s, _ := v.(string)
	return s
}
