// Package command implements the command line of the services: a subcommand without arguments.
// Settings are environment variables.
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

// DefaultSubcommand runs if the command line has none.
const DefaultSubcommand = "serve"

// Main runs the subcommand of the command line, with a context that ends with SIGINT or SIGTERM, and
// exits: with 0 after success, 1 after an error, and 2 if the command line is invalid.
func Main(name string, subcommands map[string]func(context.Context) error) {
	os.Exit(run(name, os.Args[1:], subcommands))
}

func run(name string, arguments []string, subcommands map[string]func(context.Context) error) int {
	selected := DefaultSubcommand
	if len(arguments) > 0 {
		selected = arguments[0]
	}
	fn, ok := subcommands[selected]
	if !ok || len(arguments) > 1 {
		var known []string
		for s := range subcommands {
			known = append(known, s)
		}
		slices.Sort(known)
		fmt.Fprintf(os.Stderr, "usage: %s [%s]; settings are environment variables\n", name, strings.Join(known, " | "))
		return 2
	}
	tuneMemory()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	defer telemetry.Stdout.Flush()
	if err := fn(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}
