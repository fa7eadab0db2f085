package proxies

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/revision"
)

func TestPeersReceiveSameRequestsAsGateway(t *testing.T) {
	want := map[string]struct{ tokens, requiresToken bool }{
		"gateway-token": {true, true}, "gateway-token@abc1234": {true, true}, "gateway-token@0000000": {true, true},
		"origin-token": {true, false}, "nginx-token": {true, false}, "go-reverseproxy-token": {true, false}, "fasthttp-token": {true, false},
	}
	found := 0
	for _, got := range (&Proxies{Against: []*revision.Revision{{Commit: "0000000"}, {Commit: "abc1234"}}}).targets() {
		w, ok := want[got.name]
		if ok {
			found++
		}
		if got.tokens != w.tokens || got.requiresToken != w.requiresToken {
			t.Errorf("%s sends tokens: %t, requires them: %t; want %+v", got.name, got.tokens, got.requiresToken, w)
		}
	}
	if found != len(want) {
		t.Errorf("found %d of %d targets with tokens", found, len(want))
	}
}

func TestNeededPeersOfTargets(t *testing.T) {
	ps := &Proxies{Against: []*revision.Revision{{Commit: "0000000"}, {Commit: "abc1234"}}}
	names := func(targets []target) (names []string) {
		for _, p := range ps.needed(targets) {
			names = append(names, p.name)
		}
		return names
	}
	for name, want := range map[string][]string{
		"origin-token": {"origin"}, "nginx": {"origin", "nginx"}, "fasthttp-token": {"origin", "fasthttp"},
		"gateway-token": {"origin", "gateway"}, "gateway-token@abc1234": {"origin", "gateway@abc1234"},
	} {
		i := slices.IndexFunc(ps.targets(), func(target target) bool { return target.name == name })
		if i < 0 {
			t.Fatalf("no target %s", name)
		}
		if got := names(ps.targets()[i : i+1]); !slices.Equal(got, want) {
			t.Errorf("peers of %s: %v, want %v", name, got, want)
		}
	}
	if got, want := len(names(ps.targets())), len(peers())+2; got != want {
		t.Errorf("%d peers of all targets, want %d", got, want)
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
	ps := &Proxies{running: map[string]*process{"peer": {address: strings.TrimPrefix(server.URL, "http://")}}, tokens: []string{"abc"}}
	if err := ps.check(t.Context(), target{peer: peer{name: "peer"}, path: plainPath, tokens: true}); err != nil {
		t.Errorf("a target that requires no token: %v", err)
	}
	if len(tokens) != 1 || tokens[0] != "Bearer abc" {
		t.Errorf("received the tokens %q, want one request with a token", tokens)
	}
	if err := ps.check(t.Context(), target{peer: peer{name: "peer"}, path: tokenPath, tokens: true, requiresToken: true}); err == nil || !strings.Contains(err.Error(), "want 401") {
		t.Errorf("a protected target that accepts requests without a token: %v, want an error", err)
	}
}

func TestParse(t *testing.T) {
	r, err := parse("Running 1s test @ http://127.0.0.1:1\n  2 threads and 32 connections\nRESULT 10 2000000 3 500 2000\n")
	if err != nil {
		t.Fatal(err)
	}
	if r.rate() != 5 || r.p50 != 500 || r.p99 != 2000 || r.errors != 3 {
		t.Errorf("%+v, want 5 requests a second, percentiles of 500 and 2,000 µs, 3 errors", r)
	}
	for _, broken := range []string{"", "RESULT 1 2\n", "RESULT 1 0 0 0 0\n", "unable to connect\n"} {
		if _, err := parse(broken); err == nil {
			t.Errorf("%q is accepted, want an error", broken)
		}
	}
}
