package edge

import (
	"context"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// fasthttp is a minimal reverse proxy that uses the same library as the gateway.
type fasthttp struct{}

func (fasthttp) name() string { return "fasthttp" }

func (fasthttp) spec(ctx context.Context, e *Edge, _, address string) (child.Spec, error) {
	path, err := e.build(ctx, "hack", "./bench/peers/fasthttp")
	return child.Spec{Path: path, Args: []string{address, "http://" + e.origin}}, err
}
