package edge

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

type haproxy struct{}

func (haproxy) name() string { return "haproxy" }

const haproxyConf = `global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
    option forwardfor
frontend in
    bind %s
    default_backend origin
backend origin
    server origin %s
`

func (haproxy) spec(_ context.Context, e *Edge, dir, address string) (child.Spec, error) {
	file := filepath.Join(dir, "haproxy.cfg")
	err := os.WriteFile(file, fmt.Appendf(nil, haproxyConf, address, e.origin), 0o600)
	return child.Spec{Path: "/usr/sbin/haproxy", Args: []string{"-db", "-f", file}}, err
}
