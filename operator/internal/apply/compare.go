package apply

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// difference is one place at which a live object is not as desired.
type difference struct {
	// path consists of the keys of maps and the indices of lists in the live object. In
	// desired, an index is that of the desired list, and "+" for an additional element.
	path, desired []any
	// surplus reports whether the place is not in the desired object, so that it has to be
	// removed. Server-side apply does not remove what other field managers have added.
	surplus bool
	live    any
}

// exactFields are the fields whose value is compared as a whole: an additional key changes
// what a selector selects, or is a file of a ConfigMap. In other maps, keys that the desired object
// does not have are defaults of the API server, or belong to others, such as annotations.
var exactFields = []string{"selector", "podSelector", "namespaceSelector", "labelSelector", "nodeSelector", "data"}

// identityFields are the fields that identify an element of a list, as far as it has them.
var identityFields = []string{"name", "mountPath", "containerPort", "port", "protocol", "topologyKey"}

// differences returns the places at which live lacks a field of desired or has another
// value, at which a list has additional elements, and at which a field that is compared
// exactly has additional keys.
func differences(live, desired map[string]any) []difference {
	var c comparison
	// The API server adds no field to the rules of a NetworkPolicy in which the protocol is set.
	c.exactSpec = desired["kind"] == "NetworkPolicy"
	c.compareMaps(place{}, live, desired, false)
	return c.found
}

type comparison struct {
	exactSpec bool
	found     []difference
}

// place is a place in the live and in the desired object.
type place struct{ live, desired []any }

func (p place) at(live, desired any) place {
	return place{append(slices.Clone(p.live), live), append(slices.Clone(p.desired), desired)}
}

func (c *comparison) add(at place, live any, surplus bool) {
	c.found = append(c.found, difference{at.live, at.desired, surplus, live})
}

func (c *comparison) compare(at place, live, desired any, exact bool) {
	switch want := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok && (live != nil || len(want) > 0) { // The API server may drop an empty map.
			c.add(at, live, false)
			return
		}
		c.compareMaps(at, have, want, exact)
	case []any:
		have, ok := live.([]any)
		if !ok && (live != nil || len(want) > 0) {
			c.add(at, live, false)
			return
		}
		c.compareLists(at, have, want, exact)
	case nil:
	default:
		if live != desired && (!isNumber(live) || !isNumber(desired) || number(live) != number(desired)) {
			c.add(at, live, false)
		}
	}
}

func (c *comparison) compareMaps(at place, live, desired map[string]any, exact bool) {
	for _, key := range slices.Sorted(maps.Keys(desired)) {
		c.compare(at.at(key, key), live[key], desired[key], exact || slices.Contains(exactFields, key) || c.exactSpec && key == "spec")
	}
	if !exact {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if _, found := desired[key]; !found {
			c.add(at.at(key, key), live[key], true)
		}
	}
}

// compareLists compares lists element by element. If the live list is longer, it looks for
// the elements that others have added to the desired ones, whose order they keep.
func (c *comparison) compareLists(at place, live, desired []any, exact bool) {
	if len(live) < len(desired) {
		c.add(at, live, false)
		return
	}
	next := 0 // index of the next desired element
	nested := comparison{exactSpec: c.exactSpec}
	for i := range live {
		if len(live) == len(desired) || next < len(desired) && isSameElement(live[i], desired[next]) {
			nested.compare(at.at(i, next), live[i], desired[next], exact)
			next++
		} else {
			nested.add(at.at(i, "+"), live[i], true)
		}
	}
	if next < len(desired) {
		c.add(at, live, false)
		return
	}
	c.found = append(c.found, nested.found...)
}

// isSameElement reports whether an element of a live list is the desired one, perhaps with
// other values.
func isSameElement(live, desired any) bool {
	want, isMap := desired.(map[string]any)
	have, _ := live.(map[string]any)
	if !isMap {
		return live == desired
	}
	identified := false
	for _, field := range identityFields {
		value, found := want[field]
		if !found {
			continue
		}
		identified = true
		if have[field] != value && (!isNumber(have[field]) || !isNumber(value) || number(have[field]) != number(value)) {
			return false
		}
	}
	return identified || have != nil && len(differences(have, want)) == 0
}

// withoutSurplus removes what the desired object does not have from a live object. It
// reports whether there was anything to remove.
func withoutSurplus(live map[string]any, found []difference) bool {
	removed := false
	// Elements of a list are found in ascending order, and removed in descending order.
	for _, d := range slices.Backward(found) {
		if d.surplus {
			remove(live, d.path)
			removed = true
		}
	}
	return removed
}

// remove returns the container without the place at a path, which exists.
func remove(container any, path []any) any {
	switch at := container.(type) {
	case map[string]any:
		key, _ := path[0].(string)
		if len(path) == 1 {
			delete(at, key)
		} else {
			at[key] = remove(at[key], path[1:])
		}
		return at
	case []any:
		index, _ := path[0].(int)
		if len(path) == 1 {
			return slices.Delete(at, index, index+1)
		}
		at[index] = remove(at[index], path[1:])
		return at
	default:
		return container
	}
}

// fingerprint returns a text that is equal for equal differences, and "" for none. The position
// of additional elements of a list does not matter, because an apply may move them.
func fingerprint(found []difference) (string, error) {
	all := make([]string, 0, len(found))
	for _, d := range found {
		encoded, err := json.Marshal([]any{d.desired, d.live})
		if err != nil {
			return "", err
		}
		all = append(all, string(encoded))
	}
	slices.Sort(all)
	return strings.Join(all, "\n"), nil
}

// isNumber reports whether v is an int64 or a float64. Which of them depends on the
// decoder.
func isNumber(v any) bool {
	switch v.(type) {
	case int64, float64:
		return true
	}
	return false
}

func number(v any) float64 {
	if i, ok := v.(int64); ok {
		return float64(i)
	}
	f, _ := v.(float64)
	return f
}
