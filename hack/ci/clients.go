package main

import (
	"context"
	"errors"

	"ecommerce-stack.dev/hack/contract/clients"
)

// clientsCommand fills the cache with the tools of hack/contract/clients. The tests would do the same,
// without showing progress.
type clientsCommand struct{}

// Run implements the command.
func (clientsCommand) Run(ctx context.Context) error {
	_, err := clients.Packages(ctx)
	_, buildErr := clients.Generators(ctx)
	return errors.Join(err, buildErr)
}
