package edge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// caddy is built from its module, which is not part of the workspace.
type caddy struct{}

func (caddy) name() string { return "caddy" }

const caddyConf = `{"admin": {"disabled": true, "config": {"persist": false}},
 "logging": {"logs": {"default": {"level": "ERROR"}}},
 "apps": {"http": {"servers": {"in": {
  "listen": [%q], "automatic_https": {"disable": true}, "protocols": ["h1"],
  "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": %q}],
   "transport": {"protocol": "http", "compression": false, "keep_alive": {"max_idle_conns_per_host": 256}}}]}]}}}}}
`

func (caddy) spec(ctx context.Context, e *Edge, dir, address string) (child.Spec, error) {
	path, err := e.build(ctx, filepath.Join("hack", "bench", "peers", "caddy"), ".", "GOWORK=off")
	if err != nil {
		return child.Spec{}, err
	}
	file := filepath.Join(dir, "caddy.json")
	err = os.WriteFile(file, fmt.Appendf(nil, caddyConf, address, e.origin), 0o600)
	// It writes files to $HOME.
	return child.Spec{Path: path, Args: []string{"run", "--config", file}, Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}}, err
}
