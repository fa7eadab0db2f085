package apply

// contains says whether live has every field that desired names, with the same value.
// The API server fills in further fields, which are its own; it does not add to lists
// that the operator's objects have.
func contains(live, desired any) bool {
	switch want := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok {
			// An empty map may have been dropped.
			return live == nil && len(want) == 0
		}
		for key, value := range want {
			if !contains(have[key], value) {
				return false
			}
		}
		return true
	case []any:
		have, ok := live.([]any)
		if len(have) != len(want) || !ok && len(want) > 0 {
			return false
		}
		for i := range want {
			if !contains(have[i], want[i]) {
				return false
			}
		}
		return true
	case nil:
		return true
	default:
		return live == desired || isNumber(live) && isNumber(desired) && number(live) == number(desired)
	}
}

// Numbers come as int64 or float64, depending on who decoded them.
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
