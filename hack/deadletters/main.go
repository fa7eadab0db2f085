// Command deadletters lists the newest dead letters of a running store: messages that a consumer
// rejected, or could not handle.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/manager"
)

func main() {
	var o manager.Flags
	kong.Parse(&o, kong.Description("List the newest dead letters of a running store."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "deadletters:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o manager.Flags, out io.Writer) error {
	api := &client.Client{URL: o.URL}
	user, _, err := o.Login(ctx, api)
	if err != nil {
		return err
	}
	letters, err := api.DeadLetters(ctx, user)
	if err != nil {
		return err
	}
	return printLetters(out, letters)
}

func printLetters(out io.Writer, letters []client.DeadLetter) error {
	if len(letters) == 0 {
		_, err := fmt.Fprintln(out, "There are no dead letters.")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "ID\tQUEUE\tREASON\tBODY")
	for _, l := range letters {
		fmt.Fprintf(table, "%d\t%s\t%s\t%.120q\n", l.ID, l.Queue, l.Reason, l.Body)
	}
	return table.Flush()
}
