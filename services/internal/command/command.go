// Package command is the command line of every service: a name, one of a few
// subcommands, and nothing else, because settings come from the environment.
package command

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"ecommerce-stack.dev/services/internal/telemetry"
)

// Default is the subcommand that runs when none is named.
const Default = "serve"

// Main runs the subcommand that the command line names, with a context that ends
// with SIGINT or SIGTERM, and exits: 0 when it succeeded, 1 when it failed, 2 when
// there is no such subcommand.
func Main(name string, subcommands map[string]func(context.Context) error) {
	os.Exit(run(name, os.Args[1:], subcommands))
}

func run(name string, arguments []string, subcommands map[string]func(context.Context) error) int {
	chosen := Default
	if len(arguments) > 0 {
		chosen = arguments[0]
	}
	do, ok := subcommands[chosen]
	if !ok || len(arguments) > 1 {
		var known []string
		for s := range subcommands {
			known = append(known, s)
		}
		slices.Sort(known)
		fmt.Fprintf(os.Stderr, "usage: %s [%s]; the settings are environment variables\n", name, strings.Join(known, " | "))
		return 2
	}
	tuneMemory()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	defer telemetry.Stdout.Flush()
	if err := do(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}
