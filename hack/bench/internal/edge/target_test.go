package edge

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/revision"
)

func TestPeersReceiveSameRequestsAsGateway(t *testing.T) {
	want := map[string]struct{ tokens, requiresToken bool }{
		"gateway-token": {true, true}, "gateway-token@abc1234": {true, true},
		"origin-token": {true, false}, "nginx-token": {true, false}, "go-reverseproxy-token": {true, false}, "fasthttp-token": {true, false},
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
			if got.tokens != w.tokens || got.requiresToken != w.requiresToken {
				t.Errorf("%s sends tokens: %t, requires them: %t; want %+v", got.Title, got.tokens, got.requiresToken, w)
			}
		}
	}
	if found != len(want) {
		t.Errorf("found %d of %d targets with tokens", found, len(want))
	}
}

func TestNeededPeersOfTargets(t *testing.T) {
	for title, want := range map[string][]string{
		"origin-token": {"origin"}, "nginx": {"origin", "nginx"}, "fasthttp-token": {"origin", "fasthttp"}, "traefik": {"origin", "traefik"},
		"gateway-token": {"origin", "gateway"},
	} {
		i := slices.IndexFunc(Targets(), func(target Target) bool { return target.Title == title })
		if i < 0 {
			t.Fatalf("no target %s", title)
		}
		e := &Edge{Measured: Targets()[i : i+1]}
		var got []string
		for _, p := range e.neededPeers() {
			got = append(got, p.name())
		}
		if !slices.Equal(got, want) {
			t.Errorf("peers of %s: %v, want %v", title, got, want)
		}
	}
	if got, want := len((&Edge{Measured: Targets()}).neededPeers()), len(peers()); got != want {
		t.Errorf("%d peers of all targets, want %d", got, want)
	}
}

func TestAwaitReadyRetries(t *testing.T) {
	// Like Traefik, the server has no routes for the first requests.
	var requests atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) < 3 {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte(strings.Repeat("x", 300)))
	}))
	defer server.Close()
	e := &Edge{addresses: map[string]string{"peer": strings.TrimPrefix(server.URL, "http://")}}
	if err := e.awaitReady(t.Context(), Target{peer: "peer", path: plainPath}); err != nil || requests.Load() != 3 {
		t.Errorf("ready after %d requests: %v; want 3", requests.Load(), err)
	}
}

func TestCheckRequires401OnlyFromProtectedTargets(t *testing.T) {
	// The server accepts all requests.
	var tokens []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tokens = append(tokens, r.Header.Get("Authorization"))
		_, _ = w.Write([]byte(strings.Repeat("x", 300)))
	}))
	defer server.Close()
	e := &Edge{addresses: map[string]string{"peer": strings.TrimPrefix(server.URL, "http://")}, tokens: []string{"abc"}}
	if err := e.check(t.Context(), Target{peer: "peer", path: plainPath, tokens: true}); err != nil {
		t.Errorf("a target that requires no token: %v", err)
	}
	if len(tokens) != 1 || tokens[0] != "Bearer abc" {
		t.Errorf("received the tokens %q, want one request with a token", tokens)
	}
	if err := e.check(t.Context(), Target{peer: "peer", path: tokenPath, tokens: true, requiresToken: true}); err == nil || !strings.Contains(err.Error(), "want 401") {
		t.Errorf("a protected target that accepts requests without a token: %v, want an error", err)
	}
}
