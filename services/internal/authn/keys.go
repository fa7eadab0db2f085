package authn

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

// KeysPattern is the route of KeysHandler at the metrics address.
const KeysPattern = "GET /jwt-keys"

// KeysHandler returns a handler that responds with the ids of the keys in use:
//
//	{"verifies":["a","b"],"signs":"b"}
//
// The operator reads it when it rotates the keys: a new key signs only after every process
// verifies with it. signing returns the id of the key that signs tokens; it is nil in a
// service that signs none.
func (v *Verifier) KeysHandler(signing func() string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		var report struct {
			Verifies []string `json:"verifies"`
			Signs    string   `json:"signs,omitempty"`
		}
		report.Verifies = slices.Sorted(maps.Keys(v.keys.Load().set))
		if signing != nil {
			report.Signs = signing()
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(report) // The client may be gone.
	})
}
