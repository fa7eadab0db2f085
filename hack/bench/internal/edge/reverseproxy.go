package edge

import (
	"context"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// reverseProxy is httputil.ReverseProxy of the standard library.
type reverseProxy struct{}

func (reverseProxy) name() string { return "go-reverseproxy" }

func (reverseProxy) spec(ctx context.Context, e *Edge, _, address string) (child.Spec, error) {
	path, err := e.build(ctx, "hack", "./bench/peers/reverseproxy")
	return child.Spec{Path: path, Args: []string{address, "http://" + e.origin}}, err
}
