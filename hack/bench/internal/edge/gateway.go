package edge

import (
	"context"
	"os"
	"path/filepath"

	"ecommerce-stack.dev/hack/bench/internal/child"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/revision"
	"ecommerce-stack.dev/hack/internal/local"
)

// gateway is the gateway with routes for the benchmark. It logs requests, which is the
// default, but its output is discarded.
type gateway struct {
	// of is the revision that it is built from; nil is the present source tree.
	of *revision.Revision
}

func (g gateway) name() string {
	if g.of == nil {
		return "gateway"
	}
	return measure.Twin("gateway", g.of.Commit)
}

// program builds the gateway and returns its path. Earlier revisions are built to dir,
// because the next run extracts them to another folder and has to rebuild them anyway.
func (g gateway) program(ctx context.Context, e *Edge, dir string) (string, error) {
	const what = "./services/gateway"
	if g.of == nil {
		return e.build(ctx, ".", what)
	}
	file := filepath.Join(dir, "gateway")
	return file, compile(ctx, g.of.Root, what, file)
}

// routes are the routes of the gateway. The class login has no rate limit here. The
// default class has a limit that is never reached, so that requests are counted but not
// rejected.
const routes = `routes:
  - {path: ` + plainPath + `, methods: [GET], upstream: stock, access: public, limit: login}
  - {path: ` + tokenPath + `, methods: [GET], upstream: stock, access: [Client]}
  - {path: ` + cachedPath + `, methods: [GET], upstream: stock, access: public, limit: login, cache: {kind: list}}
`

func (g gateway) spec(ctx context.Context, e *Edge, dir, address string) (child.Spec, error) {
	path, err := g.program(ctx, e, dir)
	if err != nil {
		return child.Spec{}, err
	}
	routesFile := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(routesFile, []byte(routes), 0o600); err != nil {
		return child.Spec{}, err
	}
	metrics, err := child.FreeAddress()
	if err != nil {
		return child.Spec{}, err
	}
	e.metrics[g.name()] = "http://" + metrics
	url := "http://" + e.origin
	return child.Spec{Path: path, Log: os.DevNull, Env: []string{
		"HTTP_ADDR=" + address, "METRICS_ADDR=" + metrics, "ROUTES_FILE=" + routesFile,
		"JWT_KEYS_FILE=" + e.keysFile, "JWT_ISSUER=" + local.Issuer, "JWT_AUDIENCE=" + local.Audience,
		"AUTH_URL=" + url, "SALES_URL=" + url, "STOCK_URL=" + url,
		"RATE_LIMIT_RPS=1000000", "RATE_LIMIT_BURST=1000000", "LOGIN_RATE_PER_MINUTE=0",
		profile.Variable + "=" + os.Getenv(profile.Variable),
	}}, nil
}
