package edge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// traefik is built from its module, which is not part of the workspace.
type traefik struct{}

func (traefik) name() string { return "traefik" }

const (
	traefikConf = `global: {checkNewVersion: false, sendAnonymousUsage: false}
log: {level: ERROR}
entryPoints: {in: {address: %q}}
providers: {file: {filename: %q, watch: false}}
serversTransport: {maxIdleConnsPerHost: 256}
`
	traefikRoutes = `http:
  routers: {all: {entryPoints: [in], rule: "PathPrefix(` + "`/`" + `)", service: origin}}
  services: {origin: {loadBalancer: {servers: [{url: "http://%s"}]}}}
`
)

func (traefik) spec(ctx context.Context, e *Edge, dir, address string) (child.Spec, error) {
	path, err := e.build(ctx, filepath.Join("hack", "bench", "peers", "traefik"), "github.com/traefik/traefik/v3/cmd/traefik", "GOWORK=off")
	if err != nil {
		return child.Spec{}, err
	}
	routes := filepath.Join(dir, "routes.yaml")
	if err := os.WriteFile(routes, fmt.Appendf(nil, traefikRoutes, e.origin), 0o600); err != nil {
		return child.Spec{}, err
	}
	file := filepath.Join(dir, "traefik.yaml")
	err = os.WriteFile(file, fmt.Appendf(nil, traefikConf, address, routes), 0o600)
	return child.Spec{Path: path, Args: []string{"--configFile=" + file}}, err
}
