package edge

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/revision"
)

func TestPeersGetTheSameRequestsAsOurGatewayAndNeedNoToken(t *testing.T) {
	want := map[string]struct{ tokens, guarded bool }{
		"gateway-token": {true, true}, "gateway-token@abc1234": {true, true},
		"origin-token": {true, false}, "nginx-token": {true, false}, "go-reverseproxy-token": {true, false}, "relay-token": {true, false},
	}
	found := 0
	for _, target := range Targets() {
		all := []Target{target}
		if twin, ok := target.Twin(&revision.Revision{Commit: "abc1234"}); ok {
			all = append(all, twin)
		}
		for _, got := range all {
			w, ok := want[got.Title]
			if ok {
				found++
			}
			if got.tokens != w.tokens || got.guarded != w.guarded {
				t.Errorf("%s sends tokens: %t, and needs them: %t; want %+v", got.Title, got.tokens, got.guarded, w)
			}
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d targets with tokens are there", found, len(want))
	}
}

func TestOnlyAGuardedTargetHasToRefuseWhoHasNoToken(t *testing.T) {
	// It lets everybody in.
	var tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(strings.Repeat("x", 300)))
	}))
	defer server.Close()
	e := &Edge{addresses: map[string]string{"peer": strings.TrimPrefix(server.URL, "http://")}, tokens: []string{"abc"}}
	if err := e.try(t.Context(), Target{peer: "peer", path: plainPath, tokens: true}); err != nil {
		t.Errorf("a target that needs no token: %v", err)
	}
	if len(tokens) != 1 || tokens[0] != "Bearer abc" {
		t.Errorf("it got the tokens %q, want one request with one", tokens)
	}
	if err := e.try(t.Context(), Target{peer: "peer", path: tokenPath, tokens: true, guarded: true}); err == nil || !strings.Contains(err.Error(), "want 401") {
		t.Errorf("a target that lets in who has no token: %v, want an error", err)
	}
}
