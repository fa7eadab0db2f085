package edge

import (
	"context"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// origin is the server that all proxies forward to.
type origin struct{}

func (origin) name() string { return "origin" }

func (origin) spec(ctx context.Context, e *Edge, _, address string) (child.Spec, error) {
	path, err := e.build(ctx, "hack", "./bench/peers/origin")
	return child.Spec{Path: path, Args: []string{address}}, err
}
