// Command demo demonstrates a running store and checks it: it adds products, places one
// order for every possible outcome, waits for the outcomes, and prints the sales, and the
// stock before and after. It fails if a result is not the expected one, so it is also a quick
// test of an installation.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/manager"
)

type options struct {
	manager.Flags
	Timeout time.Duration `help:"Time limit of the whole run." default:"3m"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Demonstrate a running store and check it."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	api := &client.Client{URL: o.URL}
	user, email, err := o.Login(ctx, api)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Logged in as the manager %s.\n", email)
	d := &demo{api: api, manager: user, out: out}
	return d.run(ctx)
}
