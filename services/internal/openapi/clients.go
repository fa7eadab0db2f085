package openapi

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"ecommerce-stack.dev/services/internal/problem"
)

// forClients changes the document of a service, which describes what the service validates, to what
// clients that are generated from it can rely on: a response may get more fields in a later release,
// and only what the specification defines is in it.
func forClients(doc object) {
	components := child(doc, "components")
	requests := map[string]bool{}
	for _, op := range operationsOf(doc) {
		referenced(op["requestBody"], components, requests)
		visit(op["responses"], open)
	}
	for name, schema := range child(components, "schemas") {
		if !requests[schemas+name] {
			visit(schema, open)
		}
	}
	visit(doc, func(o object) { delete(o, "patternDescription") }) // of huma
	visit(doc, func(o object) { nameValues(o, child(components, "schemas")) })
	visit(doc, makeBoolean)
}

// operationsOf returns the operations of a document in the order of their paths and methods.
func operationsOf(doc object) (all []object) {
	paths := child(doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for _, method := range methods {
			if op, ok := paths[path].(object)[method].(object); ok {
				all = append(all, op)
			}
		}
	}
	return all
}

// visit calls do with v and every object in it.
func visit(v any, do func(object)) {
	switch v := v.(type) {
	case object:
		do(v)
		for _, member := range v {
			visit(member, do)
		}
	case []any:
		for _, item := range v {
			visit(item, do)
		}
	}
}

// open allows fields in objects that are not declared.
func open(schema object) {
	if schema["additionalProperties"] == false {
		delete(schema, "additionalProperties")
	}
}

// clientName is what generators call the client.
const clientName = "Client"

// nameValues names the values of the enums among some properties or of a parameter, if generators
// would give two things one name: the values "price" and "-price", or a value and a schema.
func nameValues(o object, schemas object) {
	for name, property := range child(o, "properties") {
		if enum, ok := property.(object); ok {
			nameEnum(name, enum, schemas)
		}
	}
	if schema := child(o, "schema"); schema != nil {
		nameEnum(text(o["name"]), schema, schemas)
	}
}

func nameEnum(field string, enum, schemas object) {
	values, _ := enum["enum"].([]any)
	var names []any
	signed, suffix := false, ""
	for _, v := range values {
		name, descending := strings.CutPrefix(text(v), "-")
		if descending {
			name += "Descending"
			signed = true
		}
		if name = title(name); name == clientName || schemas[name] != nil {
			suffix = title(field)
		}
		names = append(names, name)
	}
	if !signed && suffix == "" {
		return
	}
	for i := range names {
		names[i] = text(names[i]) + suffix
	}
	enum["x-enum-varnames"] = names
}

// makeBoolean makes a boolean of a string that is true or false. The field of a parameter that may be
// absent is a string, because the zero value of a boolean is false.
func makeBoolean(parameter object) {
	schema := child(parameter, "schema")
	if !reflect.DeepEqual(schema["enum"], []any{"true", "false"}) {
		return
	}
	schema["type"] = "boolean"
	delete(schema, "enum")
	schema["examples"] = []any{true}
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

const responseRefs = "#/components/responses/"

// addDefault documents that a status which an operation does not have is a problem, too, such as one
// of a proxy.
func addDefault(doc, shared object) {
	shared["Problem"] = object{
		"description": "Any other problem",
		"content": object{problem.ContentType: object{
			"schema":  object{"$ref": schemas + "Problem"},
			"example": jsonValue(problem.New(http.StatusRequestHeaderFieldsTooLarge, "", "The header exceeds the limit of 32 KiB.")),
		}},
	}
	for _, name := range gatewayHeaderNames {
		refer(child(shared, "Problem"), name)
	}
	for _, op := range operationsOf(doc) {
		member(op, "responses")["default"] = object{"$ref": responseRefs + "Problem"}
	}
}

// sharedResponse is a response with the places that have it.
type sharedResponse struct {
	status, key string
	uses        []object // the objects responses of operations
}

// shareResponses moves the problems that several operations have to shared, which are the responses
// among the components, and refers to them. Their examples differ in the instance only.
func shareResponses(doc, shared object) {
	byKey := map[string]*sharedResponse{}
	for _, op := range operationsOf(doc) {
		responses := child(op, "responses")
		for status, v := range responses {
			if n, _ := strconv.Atoi(status); n < http.StatusBadRequest {
				continue
			}
			key := status + withoutInstances(v)
			if byKey[key] == nil {
				byKey[key] = &sharedResponse{status: status, key: key}
			}
			byKey[key].uses = append(byKey[key].uses, responses)
		}
	}
	for _, r := range slices.SortedFunc(maps.Values(byKey), func(a, b *sharedResponse) int { return cmp.Compare(a.key, b.key) }) {
		if len(r.uses) == 1 {
			continue
		}
		name := responseName(r.status, child(r.uses[0], r.status), shared)
		shared[name] = r.uses[0][r.status]
		for _, responses := range r.uses {
			responses[r.status] = object{"$ref": responseRefs + name}
		}
	}
}

// withoutInstances returns the JSON of a response without the instances of problems.
func withoutInstances(response any) string {
	c := jsonValue(response)
	visit(c, func(o object) { delete(o, "instance") })
	body, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return string(body)
}

// responseName returns a name for a response that shared does not have: its status and its codes.
func responseName(status string, response, shared object) string {
	n, _ := strconv.Atoi(status)
	name := strings.ReplaceAll(http.StatusText(n), " ", "")
	_, codes, _ := strings.Cut(text(response["description"]), ": ")
	for code := range strings.SplitSeq(codes, ", ") {
		for word := range strings.SplitSeq(strings.Trim(code, "`"), "_") {
			name += title(word)
		}
	}
	unique := name
	for i := 2; shared[unique] != nil; i++ {
		unique = name + strconv.Itoa(i)
	}
	return unique
}
