package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// boundedInputs checks that every input has a limit: strings have a maximum length, a
// bounded pattern or a list of values, arrays have a maximum length, and objects accept
// no undeclared fields.
func boundedInputs(d spec) (violations []string) {
	for _, op := range d.operations() {
		for _, v := range list(op.object["parameters"]) {
			p := d.resolve(v.(object))
			for _, rule := range d.unbounded(child(p, "schema"), nil) {
				violations = append(violations, fmt.Sprintf("%s: parameter %v%s", op, p["name"], rule))
			}
		}
		for _, v := range child(d.resolve(child(op.object, "requestBody")), "content") {
			media, _ := v.(object)
			for _, rule := range d.unbounded(child(media, "schema"), nil) {
				violations = append(violations, fmt.Sprintf("%s: the body%s", op, rule))
			}
		}
	}
	return violations
}

// unbounded returns the violations of boundedInputs in a schema, as a path below the
// schema and the reason. ancestors are the references that lead to the schema.
func (d spec) unbounded(schema object, ancestors []string) (violations []string) {
	if ref := text(schema["$ref"]); ref != "" {
		if slices.Contains(ancestors, ref) {
			return []string{" can be nested without limit"}
		}
		ancestors = append(slices.Clone(ancestors), ref)
		schema = d.resolve(schema)
	}
	descend := func(where string, inner object) {
		for _, rule := range d.unbounded(inner, ancestors) {
			violations = append(violations, where+rule)
		}
	}
	for _, kind := range []string{"oneOf", "anyOf", "allOf"} {
		for _, v := range list(schema[kind]) {
			descend("", v.(object))
		}
	}
	switch {
	case hasType(schema, "string") && !isBounded(schema):
		violations = append(violations, " has no maxLength, enum or bounded pattern")
	case hasType(schema, "array"):
		if schema["maxItems"] == nil {
			violations = append(violations, " has no maxItems")
		}
		descend("[]", child(schema, "items"))
	case hasType(schema, "object"):
		if schema["additionalProperties"] != false {
			violations = append(violations, " accepts undeclared fields")
		}
		for name, v := range child(schema, "properties") {
			descend("."+name, v.(object))
		}
	}
	return violations
}

// hasType reports whether a schema accepts the type.
func hasType(schema object, kind string) bool {
	return schema["type"] == kind || slices.Contains(list(schema["type"]), any(kind))
}

var unboundedRepetition = regexp.MustCompile(`[^\\][*+]|\{\d+,\}`)

// isBounded reports whether the strings of a schema have a limited length.
func isBounded(schema object) bool {
	pattern := text(schema["pattern"])
	anchored := strings.HasPrefix(pattern, "^") && strings.HasSuffix(pattern, "$")
	return schema["maxLength"] != nil || schema["enum"] != nil || schema["const"] != nil || schema["format"] == "date-time" ||
		anchored && !unboundedRepetition.MatchString(pattern)
}
