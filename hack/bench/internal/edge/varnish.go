package edge

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// varnish is measured with cached responses.
type varnish struct{}

func (varnish) name() string { return "varnish" }

const vcl = `vcl 4.1;
backend origin { .host = %q; .port = %q; }
`

func (varnish) spec(_ context.Context, e *Edge, dir, address string) (child.Spec, error) {
	host, port, err := net.SplitHostPort(e.origin)
	if err != nil {
		return child.Spec{}, err
	}
	file := filepath.Join(dir, "origin.vcl")
	err = os.WriteFile(file, fmt.Appendf(nil, vcl, host, port), 0o644)
	return child.Spec{Path: "/usr/sbin/varnishd", ParentDeathSignal: syscall.SIGTERM,
		Args: []string{"-F", "-j", "none", "-n", filepath.Join(dir, "work"), "-a", address, "-f", file, "-s", "default,64m", "-T", "none"}}, err
}
