// Command dev runs the store as processes on this machine, without Kubernetes, until it is
// interrupted: the fastest way to try a change to a service.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/workspace"
)

type options struct {
	Addr string `help:"Address of the gateway." default:"127.0.0.1:5001"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Run the store as processes, without Kubernetes."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	s, err := local.Start(ctx, local.Options{Root: root, GatewayAddr: o.Addr, Log: os.Stderr})
	if err != nil {
		return err
	}
	fmt.Printf("\nThe store is available at %s; its logs are in %s.\nThe manager of this run is %s with password %s.\nPress Ctrl-C to stop it.\n",
		s.URL, s.Dir, s.ManagerEmail, s.ManagerPassword)
	<-ctx.Done()
	fmt.Println("\nstopping")
	return s.Stop()
}
