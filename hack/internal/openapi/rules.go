package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rules are the checks of a document. Each returns its findings.
var rules = []func(spec) []string{
	operationIDs, descriptions, responses, problemResponses, security, pathParameters, boundedInputs, camelCaseNames, examples, references, unusedComponents,
}

var (
	kebab = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	camel = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
	inURL = regexp.MustCompile(`\{([^}]*)\}`)
)

// operationIDs checks that operation IDs are unique and in kebab case, because client
// generators derive names from them.
func operationIDs(d spec) (violations []string) {
	seen := map[string]operation{}
	for _, op := range d.operations() {
		id := text(op.object["operationId"])
		if !kebab.MatchString(id) {
			violations = append(violations, fmt.Sprintf("%s: the operationId %q is not in kebab case", op, id))
		}
		if first, twice := seen[id]; twice {
			violations = append(violations, fmt.Sprintf("%s: the operationId %q is also used by %s", op, id, first))
		}
		seen[id] = op
	}
	return violations
}

// descriptions checks that operations have a summary, a description and tags, and
// that tags and parameters have descriptions.
func descriptions(d spec) (violations []string) {
	tags := map[string]bool{}
	for _, v := range list(d.root["tags"]) {
		tag, _ := v.(object)
		tags[text(tag["name"])] = text(tag["description"]) != ""
	}
	for _, op := range d.operations() {
		for _, name := range []string{"summary", "description"} {
			if text(op.object[name]) == "" {
				violations = append(violations, fmt.Sprintf("%s: no %s", op, name))
			}
		}
		if len(list(op.object["tags"])) == 0 {
			violations = append(violations, fmt.Sprintf("%s: no tag", op))
		}
		for _, tag := range list(op.object["tags"]) {
			if !tags[text(tag)] {
				violations = append(violations, fmt.Sprintf("%s: tag %v has no description", op, tag))
			}
		}
		for _, v := range list(op.object["parameters"]) {
			if p := d.resolve(v.(object)); text(p["description"]) == "" {
				violations = append(violations, fmt.Sprintf("%s: parameter %v has no description", op, p["name"]))
			}
		}
	}
	return violations
}

// responses checks that every operation documents a success, a client error, a server
// error, 429 and 503.
func responses(d spec) (violations []string) {
	for _, op := range d.operations() {
		kinds := map[byte]bool{}
		for status := range child(op.object, "responses") {
			kinds[status[0]] = true
		}
		for kind, what := range map[byte]string{'2': "2xx", '4': "4xx", '5': "5xx"} {
			if !kinds[kind] {
				violations = append(violations, fmt.Sprintf("%s: no %s status among the responses", op, what))
			}
		}
		for _, status := range []string{"429", "503"} {
			if child(child(op.object, "responses"), status) == nil {
				violations = append(violations, fmt.Sprintf("%s: no %s among the responses", op, status))
			}
		}
	}
	return violations
}

// problemResponses checks that every error is application/problem+json with the
// schema Problem (RFC 9457).
func problemResponses(d spec) (violations []string) {
	for _, op := range d.operations() {
		for status, v := range child(op.object, "responses") {
			if status < "400" || status == "default" {
				continue
			}
			content := child(d.resolve(v.(object)), "content")
			schema := child(child(content, "application/problem+json"), "schema")
			if len(content) != 1 || schema["$ref"] != "#/components/schemas/Problem" {
				violations = append(violations, fmt.Sprintf("%s: %s is not a problem response", op, status))
			}
		}
	}
	return violations
}

// security checks that every operation has a security requirement, which is empty for
// public operations, and that protected operations document 401.
func security(d spec) (violations []string) {
	for _, op := range d.operations() {
		requirements, ok := op.object["security"].([]any)
		if !ok {
			violations = append(violations, fmt.Sprintf("%s: no security requirement", op))
			continue
		}
		for _, v := range requirements {
			for scheme := range v.(object) {
				if child(child(child(d.root, "components"), "securitySchemes"), scheme) == nil {
					violations = append(violations, fmt.Sprintf("%s: the security scheme %s does not exist", op, scheme))
				}
			}
		}
		if len(requirements) > 0 && child(child(op.object, "responses"), "401") == nil {
			violations = append(violations, fmt.Sprintf("%s: it requires a token and has no 401", op))
		}
	}
	return violations
}

// pathParameters checks that the declared path parameters are those of the path,
// required, and have a minimum if they are integers.
func pathParameters(d spec) (violations []string) {
	for _, op := range d.operations() {
		var declared []string
		for _, v := range list(op.object["parameters"]) {
			p := d.resolve(v.(object))
			if p["in"] != "path" {
				continue
			}
			declared = append(declared, text(p["name"]))
			if schema := d.resolve(child(p, "schema")); schema["type"] == "integer" && schema["minimum"] == nil {
				violations = append(violations, fmt.Sprintf("%s: parameter %v has no minimum", op, p["name"]))
			}
			if p["required"] != true {
				violations = append(violations, fmt.Sprintf("%s: parameter %v is not required", op, p["name"]))
			}
		}
		var expected []string
		for _, m := range inURL.FindAllStringSubmatch(op.path, -1) {
			expected = append(expected, m[1])
		}
		slices.Sort(declared)
		slices.Sort(expected)
		if !slices.Equal(declared, expected) {
			violations = append(violations, fmt.Sprintf("%s: the path has the parameters %v, but %v are declared", op, expected, declared))
		}
	}
	return violations
}

// camelCaseNames checks the names of properties and query parameters.
func camelCaseNames(d spec) (violations []string) {
	walk(d.root, func(o object) {
		for name := range child(o, "properties") {
			if !camel.MatchString(name) {
				violations = append(violations, fmt.Sprintf("property %s is not in camelCase", name))
			}
		}
		if name := text(o["name"]); o["in"] == "query" && !camel.MatchString(name) {
			violations = append(violations, fmt.Sprintf("parameter %s is not in camelCase", name))
		}
	})
	return violations
}

// examples checks that every body has an example.
func examples(d spec) (violations []string) {
	check := func(op operation, where string, o object) {
		for contentType, v := range child(o, "content") {
			if media, _ := v.(object); media["example"] == nil && len(child(media, "examples")) == 0 {
				violations = append(violations, fmt.Sprintf("%s: the %s %s has no example", op, where, contentType))
			}
		}
	}
	for _, op := range d.operations() {
		check(op, "request", d.resolve(child(op.object, "requestBody")))
		for status, v := range child(op.object, "responses") {
			check(op, status, d.resolve(v.(object)))
		}
	}
	return violations
}

// references checks that the targets of references exist in the document.
func references(d spec) (violations []string) {
	walk(d.root, func(o object) {
		if ref, ok := o["$ref"].(string); ok && d.target(ref) == nil {
			violations = append(violations, fmt.Sprintf("%s does not exist", ref))
		}
	})
	return violations
}

// unusedComponents checks that every component is referred to.
func unusedComponents(d spec) (violations []string) {
	expected := map[string]bool{}
	walk(d.root, func(o object) { expected[text(o["$ref"])] = true })
	for _, op := range d.operations() {
		for _, v := range list(op.object["security"]) {
			for scheme := range v.(object) {
				expected["#/components/securitySchemes/"+scheme] = true
			}
		}
	}
	for kind, v := range child(d.root, "components") {
		for name := range v.(object) {
			if ref := "#/components/" + kind + "/" + name; !expected[ref] {
				violations = append(violations, fmt.Sprintf("nothing refers to %s", strings.TrimPrefix(ref, "#/components/")))
			}
		}
	}
	return violations
}
