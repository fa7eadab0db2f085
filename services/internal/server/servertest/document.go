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

// CheckDocument fails the test for each of the Gaps of the OpenAPI document at /openapi.json.
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

// Gaps returns what an OpenAPI document lacks: descriptions, and examples of bodies, parameters,
// headers and fields. It also returns the examples that do not match their schema. The error is that
// of an invalid document.
func Gaps(document []byte) ([]string, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	c := &checker{compiler: jsonschema.NewCompiler(), root: doc.(object)}
	c.compiler.AssertFormat()
	if err := c.compiler.AddResource(documentURL, doc); err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	c.check()
	slices.Sort(c.gaps)
	return slices.Compact(c.gaps), nil
}

type object = map[string]any

// documentURL is the URL of the document, for references within it.
const documentURL = "memory:///openapi.json"

// checker collects the gaps of a document.
type checker struct {
	compiler *jsonschema.Compiler
	root     object
	gaps     []string
}

func (c *checker) gap(where pointer, format string, args ...any) {
	c.gaps = append(c.gaps, where.String()+": "+fmt.Sprintf(format, args...))
}

// pointer is a location in the document (RFC 6901).
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

func (c *checker) check() {
	tags := map[string]bool{}
	for i, v := range list(c.root["tags"]) {
		tag := v.(object)
		tags[str(tag["name"])] = true
		c.described(pointer{"tags", fmt.Sprint(i)}, tag)
	}
	for path, item := range c.members(pointer{"paths"}) {
		for method := range item {
			c.operation(pointer{"paths", path, method}, item[method].(object), tags)
		}
	}
	for name, schema := range c.members(pointer{"components", "schemas"}) {
		c.fields(pointer{"components", "schemas", name}, schema)
	}
	for name, header := range c.members(pointer{"components", "headers"}) {
		c.value(pointer{"components", "headers", name}, header)
	}
}

func (c *checker) operation(at pointer, op object, tags map[string]bool) {
	c.described(at, op)
	if str(op["summary"]) == "" {
		c.gap(at, "no summary")
	}
	for _, tag := range list(op["tags"]) {
		if !tags[str(tag)] {
			c.gap(at, "tag %s has no description", tag)
		}
	}
	for i, p := range list(op["parameters"]) {
		c.value(at.at("parameters", fmt.Sprint(i)), p.(object))
	}
	c.content(at.at("requestBody"))
	succeeds := false
	for status, res := range c.members(at.at("responses")) {
		succeeds = succeeds || strings.HasPrefix(status, "2")
		in := at.at("responses", status)
		c.described(in, res)
		c.content(in)
		for name, h := range c.members(in.at("headers")) {
			if h["$ref"] == nil {
				c.value(in.at("headers", name), h)
			}
		}
	}
	if !succeeds {
		c.gap(at, "no success")
	}
}

// value checks a parameter or a header.
func (c *checker) value(at pointer, v object) {
	c.described(at, v)
	schema, _ := v["schema"].(object)
	examples := list(schema["examples"])
	if v["example"] != nil {
		examples = append(examples, v["example"])
	}
	if len(examples) == 0 && schema["enum"] == nil {
		c.gap(at, "no example (%v)", v["name"])
	}
	for _, example := range examples {
		c.matches(at, at.at("schema"), example)
	}
}

// content checks that each media type of a request or a response has an example.
func (c *checker) content(at pointer) {
	for contentType, media := range c.members(at.at("content")) {
		in := at.at("content", contentType)
		examples := map[string]any{}
		if media["example"] != nil {
			examples["example"] = media["example"]
		}
		for name, v := range c.members(in.at("examples")) {
			examples[name] = v["value"]
		}
		if len(examples) == 0 {
			c.gap(in, "no example")
		}
		for _, example := range examples {
			c.matches(in, in.at("schema"), example)
		}
	}
}

// fields checks that the fields of a schema have descriptions and, unless impliesExample, examples.
func (c *checker) fields(at pointer, schema object) {
	for i, example := range list(schema["examples"]) {
		c.matches(at.at("examples", fmt.Sprint(i)), at, example)
	}
	for name, property := range c.members(at.at("properties")) {
		in := at.at("properties", name)
		c.described(in, property)
		if !impliesExample(property) {
			c.gap(in, "no example")
		}
		c.fields(in, property)
	}
	if items, ok := schema["items"].(object); ok {
		c.fields(at.at("items"), items)
	}
}

// impliesExample reports whether an example of a field can be derived from its schema.
func impliesExample(s object) bool {
	items, _ := s["items"].(object)
	return s["examples"] != nil || s["$ref"] != nil || s["enum"] != nil || s["properties"] != nil ||
		s["format"] == "date-time" || items != nil && impliesExample(items)
}

// described checks that an object has a description.
func (c *checker) described(at pointer, o object) {
	if str(o["description"]) == "" {
		c.gap(at, "no description (%v)", o["name"])
	}
}

// matches checks that an example matches the schema at a location.
func (c *checker) matches(at, schema pointer, v any) {
	s, err := c.compiler.Compile(documentURL + "#" + schema.String())
	if err != nil {
		c.gap(at, "the schema is invalid: %v", err)
		return
	}
	if err := s.Validate(v); err != nil {
		c.gap(at, "the example does not match the schema: %v", err)
	}
}

// members returns the members of the object at a location that are objects.
func (c *checker) members(at pointer) map[string]object {
	o := c.root
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
