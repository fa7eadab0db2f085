package route_test

import (
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
)

func builtIn(t testing.TB) *route.Table {
	t.Helper()
	table, err := route.Parse(route.BuiltIn())
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestMatchReturnsRouteOfRequest(t *testing.T) {
	t.Parallel()
	table := builtIn(t)
	for _, c := range []struct{ method, path, want string }{
		{"POST", "/auth/login", "/auth/login"},
		{"GET", "/products/7", "/products/{productId}"},
		{"HEAD", "/products", "/products"},
		{"GET", "/stock/audit", "/stock/audit"},
		{"GET", "/stock/7", "/stock/{productId}"},
		{"DELETE", "/stock/7/remove/3", "/stock/{productId}/remove/{quantity}"},
		{"GET", "/sales/7/stream", "/sales/{id}/stream"},
		{"GET", "/.well-known/jwks.json", "/.well-known/jwks.json"},
	} {
		m, known := table.Match(c.method, c.path)
		if !known || m.Route == nil || m.Route.Path != c.want {
			t.Errorf("%s %s found %+v, %v, want %s", c.method, c.path, m.Route, known, c.want)
		}
	}
}

func TestWrongMethodReturnsAllowedMethods(t *testing.T) {
	t.Parallel()
	table := builtIn(t)
	for path, want := range map[string]string{
		"/auth/login": "POST, OPTIONS", "/products": "GET, HEAD, POST, PUT, OPTIONS", "/products/7": "GET, HEAD, DELETE, OPTIONS",
		"/stock/audit": "GET, HEAD, OPTIONS",
	} {
		m, known := table.Match("BREW", path)
		if !known || m.Route != nil || m.Allow != want {
			t.Errorf("%s: got %+v, %v, want Allow %q", path, m, known, want)
		}
	}
}

func TestPathOutsideTheTableIs404(t *testing.T) {
	t.Parallel()
	table := builtIn(t)
	for _, path := range []string{
		"", "/", "x", "/auth", "/auth/", "/auth/login/", "/auth//login", "//auth/login", "/products/", "/products//",
		"/metrics", "/sales/7/", "/stock/7/reserve", "/stock/7/reserve/3/4", "/Products",
		"/stock/..", "/stock/../available", "/stock/./available",
	} {
		if m, known := table.Match("GET", path); known {
			t.Errorf("%q found %+v", path, m)
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	table := builtIn(t)
	if n := testing.AllocsPerRun(100, func() { table.Match("DELETE", "/stock/7/remove/3") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBuiltInTableFollowsContract(t *testing.T) {
	t.Parallel()
	table := builtIn(t)
	m, _ := table.Match("POST", "/sales")
	if m.Route.Timeout < 31*time.Second || len(m.Route.Access.Roles) != 1 || m.Route.Access.Roles[0] != authn.Client {
		t.Errorf("POST /sales: %+v", m.Route)
	}
	for _, path := range []string{"/auth/login", "/auth/refresh", "/auth/register/user"} {
		if m, _ := table.Match("POST", path); m.Route.Limit != route.LimitLogin || !m.Route.Access.Public {
			t.Errorf("POST %s: %+v", path, m.Route)
		}
	}
	if m, _ := table.Match("GET", "/sales/7/stream"); !m.Route.Stream {
		t.Error("a stream is not one")
	}
}

func TestInvalidTableIsRejectedWithAllErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"empty":         {``, []string{"there are none"}},
		"not YAML":      {`{`, []string{"yaml"}},
		"unknown field": {`routes: [{path: /a, methods: [GET], upstream: auth, access: any, retry: 3}]`, []string{"retry"}},
		"everything": {`routes: [{path: a//b, methods: [FETCH], upstream: mail, limit: none, timeout: 2h, cache: {kind: all}}]`,
			[]string{"path", "FETCH", "mail", "no access", "limit", "timeout", "cache kind", "public GETs"}},
		"no methods":        {`routes: [{path: /a, upstream: auth, access: any}]`, []string{"no methods"}},
		"unknown role":      {`routes: [{path: /a, methods: [GET], upstream: auth, access: [Root]}]`, []string{"Root"}},
		"unknown access":    {`routes: [{path: /a, methods: [GET], upstream: auth, access: all}]`, []string{"all"}},
		"no roles":          {`routes: [{path: /a, methods: [GET], upstream: auth, access: []}]`, []string{"empty list"}},
		"twice":             {`routes: [{path: "/a/{x}", methods: [GET], upstream: auth, access: any}, {path: "/a/{y}", methods: [GET], upstream: stock, access: any}]`, []string{"route 2", "twice"}},
		"cached with token": {`routes: [{path: /a, methods: [GET], upstream: auth, access: any, cache: {kind: list}}]`, []string{"public GETs"}},
		"item without id":   {`routes: [{path: /a, methods: [GET], upstream: auth, access: public, cache: {kind: item}}]`, []string{"end in its id"}},
	} {
		_, err := route.Parse([]byte(c.yaml))
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
}
