package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// boundedInputs: whatever a client may send ends somewhere. Strings have a length, a
// pattern that ends, or a list of values; arrays have a length; objects take no fields
// that they do not name.
func boundedInputs(d doc) (broken []string) {
	for _, op := range d.operations() {
		for _, v := range list(op.object["parameters"]) {
			p := d.resolve(v.(object))
			for _, rule := range d.unbounded(child(p, "schema"), nil) {
				broken = append(broken, fmt.Sprintf("%s: parameter %v%s", op, p["name"], rule))
			}
		}
		for _, v := range child(d.resolve(child(op.object, "requestBody")), "content") {
			media, _ := v.(object)
			for _, rule := range d.unbounded(child(media, "schema"), nil) {
				broken = append(broken, fmt.Sprintf("%s: the body%s", op, rule))
			}
		}
	}
	return broken
}

// unbounded gives the places below a schema that do not end, and why.
func (d doc) unbounded(schema object, above []string) (broken []string) {
	if ref := text(schema["$ref"]); ref != "" {
		if slices.Contains(above, ref) {
			return []string{" can be nested without end"}
		}
		above = append(slices.Clone(above), ref)
		schema = d.resolve(schema)
	}
	below := func(where string, inner object) {
		for _, rule := range d.unbounded(inner, above) {
			broken = append(broken, where+rule)
		}
	}
	for _, kind := range []string{"oneOf", "anyOf", "allOf"} {
		for _, v := range list(schema[kind]) {
			below("", v.(object))
		}
	}
	switch {
	case is(schema, "string") && !ends(schema):
		broken = append(broken, " has no maxLength, enum or pattern that ends")
	case is(schema, "array"):
		if schema["maxItems"] == nil {
			broken = append(broken, " has no maxItems")
		}
		below("[]", child(schema, "items"))
	case is(schema, "object"):
		if schema["additionalProperties"] != false {
			broken = append(broken, " takes any field")
		}
		for name, v := range child(schema, "properties") {
			below("."+name, v.(object))
		}
	}
	return broken
}

// is says whether a schema is of a type, alone or among others.
func is(schema object, kind string) bool {
	return schema["type"] == kind || slices.Contains(list(schema["type"]), any(kind))
}

var repeats = regexp.MustCompile(`[^\\][*+]|\{\d+,\}`)

// ends says whether a string of a schema does.
func ends(schema object) bool {
	pattern := text(schema["pattern"])
	anchored := strings.HasPrefix(pattern, "^") && strings.HasSuffix(pattern, "$")
	return schema["maxLength"] != nil || schema["enum"] != nil || schema["const"] != nil || schema["format"] == "date-time" ||
		anchored && !repeats.MatchString(pattern)
}
