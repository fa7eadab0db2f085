package edge

import (
	"context"

	"ecommerce-stack.dev/hack/bench/internal/child"
)

// relay is the ceiling of all proxies: it makes the system calls and does nothing else.
type relay struct{}

func (relay) name() string { return "relay" }

func (relay) spec(ctx context.Context, e *Edge, _, address string) (child.Spec, error) {
	path, err := e.build(ctx, "hack", "./bench/peers/relay")
	return child.Spec{Path: path, Args: []string{address, e.origin}}, err
}
