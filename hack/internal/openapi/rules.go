package openapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// rules that a document has to keep, each giving what breaks it.
var rules = []func(doc) []string{
	operationIDs, described, answers, problems, security, pathParameters, boundedInputs, names, exampled, references, used,
}

var (
	kebab = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	camel = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
	inURL = regexp.MustCompile(`\{([^}]*)\}`)
)

// operationIDs are unique and in kebab case: generators make names of them.
func operationIDs(d doc) (broken []string) {
	seen := map[string]operation{}
	for _, op := range d.operations() {
		id := text(op.object["operationId"])
		if !kebab.MatchString(id) {
			broken = append(broken, fmt.Sprintf("%s: the operationId %q is not in kebab case", op, id))
		}
		if first, twice := seen[id]; twice {
			broken = append(broken, fmt.Sprintf("%s: the operationId %q is that of %s", op, id, first))
		}
		seen[id] = op
	}
	return broken
}

// described: operations have a summary, a description and a tag that is described.
func described(d doc) (broken []string) {
	tags := map[string]bool{}
	for _, v := range list(d.root["tags"]) {
		tag, _ := v.(object)
		tags[text(tag["name"])] = text(tag["description"]) != ""
	}
	for _, op := range d.operations() {
		for _, name := range []string{"summary", "description"} {
			if text(op.object[name]) == "" {
				broken = append(broken, fmt.Sprintf("%s: no %s", op, name))
			}
		}
		if len(list(op.object["tags"])) == 0 {
			broken = append(broken, fmt.Sprintf("%s: no tag", op))
		}
		for _, tag := range list(op.object["tags"]) {
			if !tags[text(tag)] {
				broken = append(broken, fmt.Sprintf("%s: tag %v is not described", op, tag))
			}
		}
		for _, v := range list(op.object["parameters"]) {
			if p := d.resolve(v.(object)); text(p["description"]) == "" {
				broken = append(broken, fmt.Sprintf("%s: parameter %v is not described", op, p["name"]))
			}
		}
	}
	return broken
}

// answers: every operation succeeds in some way, and says what it may refuse.
func answers(d doc) (broken []string) {
	for _, op := range d.operations() {
		kinds := map[byte]bool{}
		for status := range child(op.object, "responses") {
			kinds[status[0]] = true
		}
		for kind, what := range map[byte]string{'2': "success", '4': "refusal", '5': "failure"} {
			if !kinds[kind] {
				broken = append(broken, fmt.Sprintf("%s: no %s among the responses", op, what))
			}
		}
		for _, status := range []string{"429", "503"} {
			if child(child(op.object, "responses"), status) == nil {
				broken = append(broken, fmt.Sprintf("%s: no %s among the responses", op, status))
			}
		}
	}
	return broken
}

// problems: every error is application/problem+json of the one schema (RFC 9457).
func problems(d doc) (broken []string) {
	for _, op := range d.operations() {
		for status, v := range child(op.object, "responses") {
			if status < "400" || status == "default" {
				continue
			}
			content := child(d.resolve(v.(object)), "content")
			schema := child(child(content, "application/problem+json"), "schema")
			if len(content) != 1 || schema["$ref"] != "#/components/schemas/Problem" {
				broken = append(broken, fmt.Sprintf("%s: %s is no problem", op, status))
			}
		}
	}
	return broken
}

// security is said of every operation; an empty list says that anyone may use it.
func security(d doc) (broken []string) {
	for _, op := range d.operations() {
		given, ok := op.object["security"].([]any)
		if !ok {
			broken = append(broken, fmt.Sprintf("%s: no security, not even none", op))
			continue
		}
		for _, v := range given {
			for scheme := range v.(object) {
				if child(child(child(d.root, "components"), "securitySchemes"), scheme) == nil {
					broken = append(broken, fmt.Sprintf("%s: the security scheme %s is not there", op, scheme))
				}
			}
		}
		if len(given) > 0 && child(child(op.object, "responses"), "401") == nil {
			broken = append(broken, fmt.Sprintf("%s: it needs a token and has no 401", op))
		}
	}
	return broken
}

// pathParameters are those of the path, and bounded.
func pathParameters(d doc) (broken []string) {
	for _, op := range d.operations() {
		var declared []string
		for _, v := range list(op.object["parameters"]) {
			p := d.resolve(v.(object))
			if p["in"] != "path" {
				continue
			}
			declared = append(declared, text(p["name"]))
			if schema := d.resolve(child(p, "schema")); schema["type"] == "integer" && schema["minimum"] == nil {
				broken = append(broken, fmt.Sprintf("%s: parameter %v has no minimum", op, p["name"]))
			}
			if p["required"] != true {
				broken = append(broken, fmt.Sprintf("%s: parameter %v is not required", op, p["name"]))
			}
		}
		var wanted []string
		for _, m := range inURL.FindAllStringSubmatch(op.path, -1) {
			wanted = append(wanted, m[1])
		}
		slices.Sort(declared)
		slices.Sort(wanted)
		if !slices.Equal(declared, wanted) {
			broken = append(broken, fmt.Sprintf("%s: the path has the parameters %v, declared are %v", op, wanted, declared))
		}
	}
	return broken
}

// names of properties and query parameters are in camelCase.
func names(d doc) (broken []string) {
	every(d.root, func(o object) {
		for name := range child(o, "properties") {
			if !camel.MatchString(name) {
				broken = append(broken, fmt.Sprintf("property %s is not in camelCase", name))
			}
		}
		if name := text(o["name"]); o["in"] == "query" && !camel.MatchString(name) {
			broken = append(broken, fmt.Sprintf("parameter %s is not in camelCase", name))
		}
	})
	return broken
}

// exampled: every body has an example.
func exampled(d doc) (broken []string) {
	check := func(op operation, where string, o object) {
		for contentType, v := range child(o, "content") {
			if media, _ := v.(object); media["example"] == nil && len(child(media, "examples")) == 0 {
				broken = append(broken, fmt.Sprintf("%s: the %s %s has no example", op, where, contentType))
			}
		}
	}
	for _, op := range d.operations() {
		check(op, "request", d.resolve(child(op.object, "requestBody")))
		for status, v := range child(op.object, "responses") {
			check(op, status, d.resolve(v.(object)))
		}
	}
	return broken
}

// references lead somewhere in the document.
func references(d doc) (broken []string) {
	every(d.root, func(o object) {
		if ref, ok := o["$ref"].(string); ok && d.target(ref) == nil {
			broken = append(broken, fmt.Sprintf("%s is not there", ref))
		}
	})
	return broken
}

// used: something refers to each component.
func used(d doc) (broken []string) {
	wanted := map[string]bool{}
	every(d.root, func(o object) { wanted[text(o["$ref"])] = true })
	for _, op := range d.operations() {
		for _, v := range list(op.object["security"]) {
			for scheme := range v.(object) {
				wanted["#/components/securitySchemes/"+scheme] = true
			}
		}
	}
	for kind, v := range child(d.root, "components") {
		for name := range v.(object) {
			if ref := "#/components/" + kind + "/" + name; !wanted[ref] {
				broken = append(broken, fmt.Sprintf("nothing refers to %s", strings.TrimPrefix(ref, "#/components/")))
			}
		}
	}
	return broken
}
