package apply

// contains reports whether live has every field of desired, with the same value. The API
// server adds defaulted fields to objects, but does not add elements to the lists that
// charts render.
func contains(live, desired any) bool {
	switch want := desired.(type) {
	case map[string]any:
		have, ok := live.(map[string]any)
		if !ok {
			// The API server may drop an empty map.
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
