// Command ci has the steps of `make test` around `go test`: it installs the Debian packages
// that tests need, builds the tools, runs the fuzz targets, compares generated files, and
// summarizes the results of all suites.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type commands struct {
	Packages packagesCommand `cmd:"" help:"Install Debian packages that are missing. No package starts a daemon."`
	Fuzz     fuzzCommand     `cmd:"" help:"Run every fuzz target with a number of inputs."`
	Verify   verifyCommand   `cmd:"" help:"Fail if generators, which run in a copy of the checkout, write other files than it has."`
	Tool     toolCommand     `cmd:"" help:"Build a tool that the module hack/tools pins."`
	Clients  clientsCommand  `cmd:"" help:"Install the linters and generators of clients that make external runs."`
	Results  resultsCommand  `cmd:"" help:"Summarize the results of all suites, and fail if they are not all good."`
}

func main() {
	var c commands
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	command := kong.Parse(&c, kong.Name("ci"), kong.Description("The steps of make test around go test."), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.BindTo(os.Stdout, (*io.Writer)(nil)))
	err := command.Run()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ci:", err)
		os.Exit(1)
	}
}
