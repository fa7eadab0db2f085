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
	URL       string        `help:"Address of the gateway." env:"GATEWAY_URL" default:"http://localhost:5001"`
	Email     string        `help:"The manager's email; read from the Secret otherwise." env:"MANAGER_EMAIL"`
	Password  string        `help:"The manager's password; read from the Secret otherwise." env:"MANAGER_PASSWORD"`
	Namespace string        `help:"Namespace of the stack." env:"NAMESPACE" default:"shop"`
	Stack     string        `help:"Name of the stack." env:"STACK" default:"demo"`
	Timeout   time.Duration `help:"Time limit of the whole run." default:"3m"`
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
	if o.Email == "" || o.Password == "" {
		var err error
		if o.Email, o.Password, err = manager.Account(ctx, o.Namespace, o.Stack); err != nil {
			return err
		}
	}
	api := &client.Client{URL: o.URL}
	user, err := api.Login(ctx, o.Email, o.Password)
	if err != nil {
		return fmt.Errorf("log in as the manager %s at %s: %w", o.Email, o.URL, err)
	}
	fmt.Fprintf(out, "Logged in as the manager %s.\n", o.Email)
	d := &demo{api: api, manager: user, out: out}
	return d.run(ctx)
}
