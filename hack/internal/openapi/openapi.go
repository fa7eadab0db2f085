// Package openapi lints OpenAPI 3.1 documents: against the schema of the specification,
// and against the rules of this repository, which require complete descriptions and
// bounded inputs.
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

// Lint returns the findings in a document, sorted. It returns an error if it cannot
// parse the document.
func Lint(document []byte) ([]string, error) {
	findings, err := validate(document)
	if err != nil {
		return nil, err
	}
	var root object
	if err := json.Unmarshal(document, &root); err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	d := spec{root}
	for _, rule := range rules {
		findings = append(findings, rule(d)...)
	}
	slices.Sort(findings)
	return slices.Compact(findings), nil
}

// validate checks the document against the schema of the specification.
func validate(document []byte) ([]string, error) {
	quiet := datamodel.NewDocumentConfiguration()
	quiet.Logger = slog.New(slog.DiscardHandler)
	parsed, err := libopenapi.NewDocumentWithConfiguration(document, quiet)
	if err != nil {
		return nil, fmt.Errorf("parse the document: %w", err)
	}
	v, errs := validator.NewValidator(parsed)
	if len(errs) > 0 {
		return nil, fmt.Errorf("parse the document: %w", errs[0])
	}
	defer v.Release()
	_, failures := v.ValidateDocument()
	var findings []string
	for _, b := range failures {
		findings = append(findings, "the specification: "+b.Message+": "+b.Reason)
		for _, s := range b.SchemaValidationErrors {
			findings = append(findings, "the specification: "+"/"+strings.Join(s.InstancePath, "/")+": "+s.Reason)
		}
	}
	return findings, nil
}

type object = map[string]any

type spec struct{ root object }

// operation is an operation of a document.
type operation struct {
	method, path string
	object
}

func (o operation) String() string { return strings.ToUpper(o.method) + " " + o.path }

var methods = []string{"get", "post", "put", "patch", "delete"}

func (d spec) operations() []operation {
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

// resolve follows references. It returns nil if a target does not exist.
func (d spec) resolve(o object) object {
	for range 16 {
		ref, ok := o["$ref"].(string)
		if !ok {
			return o
		}
		o = d.target(ref)
	}
	return nil
}

func (d spec) target(ref string) object {
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

// child returns a member that is an object, or nil.
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

// walk calls visit for every object in v, except in examples.
func walk(v any, visit func(object)) {
	switch v := v.(type) {
	case object:
		visit(v)
		for name, member := range v {
			if name != "example" && name != "examples" { // data, not parts of the document
				walk(member, visit)
			}
		}
	case []any:
		for _, member := range v {
			walk(member, visit)
		}
	}
}
