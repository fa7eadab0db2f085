// Package openapi lints an OpenAPI 3.1 document: by the specification's own schema, and
// by the rules of this house, which make a document that a client team can work from
// and that says of every input where it ends.
package openapi

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi/datamodel"
)

// Lint gives what is wrong with a document, sorted; the error is that it cannot be
// read at all.
func Lint(document []byte) ([]string, error) {
	findings, err := conforms(document)
	if err != nil {
		return nil, err
	}
	var root object
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	d := doc{root}
	for _, rule := range rules {
		findings = append(findings, rule(d)...)
	}
	slices.Sort(findings)
	return slices.Compact(findings), nil
}

// conforms checks the document by the schema of the specification.
func conforms(document []byte) ([]string, error) {
	quiet := datamodel.NewDocumentConfiguration()
	quiet.Logger = slog.New(slog.DiscardHandler)
	parsed, err := libopenapi.NewDocumentWithConfiguration(document, quiet)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		return nil, fmt.Errorf("read the document: %w", errs[0])
	}
	defer v.Release()
	_, broken := v.ValidateDocument()
	var findings []string
	for _, b := range broken {
		findings = append(findings, "the specification: "+b.Message+": "+b.Reason)
		for _, s := range b.SchemaValidationErrors {
			findings = append(findings, "the specification: "+"/"+strings.Join(s.InstancePath, "/")+": "+s.Reason)
		}
	}
	return findings, nil
}

type object = map[string]any

type doc struct{ root object }

// operation of a document.
type operation struct {
	method, path string
	object
}

func (o operation) String() string { return strings.ToUpper(o.method) + " " + o.path }

var methods = []string{"get", "post", "put", "patch", "delete"}

func (d doc) operations() []operation {
	var all []operation
	paths := child(d.root, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, m := range methods {
			if op, ok := child(paths, path)[m].(object); ok {
				all = append(all, operation{m, path, op})
			}
		}
	}
	return all
}

// resolve follows references; nil when one leads nowhere.
func (d doc) resolve(o object) object {
	for range 16 {
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		o = d.target(ref)
	}
	return nil
}

func (d doc) target(ref string) object {
	rest, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil
	}
	o := d.root
	for name := range strings.SplitSeq(rest, "/") {
		o = child(o, strings.NewReplacer("~1", "/", "~0", "~").Replace(name))
	}
	return o
}

// child of an object that is an object; nil when it is none.
func child(o object, name string) object {
	c, _ := o[name].(object)
	return c
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// every visits all objects in v.
func every(v any, visit func(object)) {
	switch v := v.(type) {
	case object:
		visit(v)
		for name, member := range v {
			if name != "example" && name != "examples" { // data, not document
				every(member, visit)
			}
		}
	case []any:
		for _, member := range v {
			every(member, visit)
		}
	}
}
