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
	refs := map[string]bool{}
	referenced(doc["paths"], components, refs)
	for _, kind := range kinds {
		for name := range child(components, kind) {
			if !refs["#/components/"+kind+"/"+name] {
				delete(child(components, kind), name)
			}
		}
	}
}

// referenced adds the references in v to refs, and those in the components that they refer to.
func referenced(v any, components object, refs map[string]bool) {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok && !refs[ref] {
			refs[ref] = true
			kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
			referenced(child(components, kind)[name], components, refs)
		}
		for _, member := range v {
			referenced(member, components, refs)
		}
	case []any:
		for _, member := range v {
			referenced(member, components, refs)
		}
	}
}
