package openapi

import "strings"

// used are the tags that an operation has, once each.
func used(tags []any, paths object) []any {
	wanted := map[any]bool{}
	for _, item := range paths {
		for _, v := range item.(object) {
			of, _ := v.(object)["tags"].([]any)
			for _, tag := range of {
				wanted[tag] = true
			}
		}
	}
	out := []any{}
	for _, v := range tags {
		tag, _ := v.(object)
		if wanted[tag["name"]] {
			out = append(out, tag)
			delete(wanted, tag["name"])
		}
	}
	return out
}

// prune leaves out what no operation refers to: it belongs to one that is not passed
// on.
func prune(doc object, kinds ...string) {
	components := child(doc, "components")
	reached := map[string]bool{}
	reach(doc["paths"], components, reached)
	for _, kind := range kinds {
		for name := range child(components, kind) {
			if !reached["#/components/"+kind+"/"+name] {
				delete(child(components, kind), name)
			}
		}
	}
}

// reach follows the references in v.
func reach(v any, components object, reached map[string]bool) {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok && !reached[ref] {
			reached[ref] = true
			kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
			reach(child(components, kind)[name], components, reached)
		}
		for _, member := range v {
			reach(member, components, reached)
		}
	case []any:
		for _, member := range v {
			reach(member, components, reached)
		}
	}
}
