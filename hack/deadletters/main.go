// Command deadletters lists the newest dead letters of a running store, which are messages that a
// consumer rejected or could not handle, or sends them to their queues again.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/manager"
)

// options are the flags.
type options struct {
	manager.Flags `embed:""`

	Redrive   bool          `help:"Send the dead letters that match the flags below to their queues again, instead of listing the newest ones."`
	Queue     string        `help:"Only those that were rejected from this queue."`
	Type      string        `help:"Only those of this type of event, such as SaleCreated."`
	Reason    string        `help:"Only those that were rejected for this reason: rejected or delivery_limit."`
	OlderThan time.Duration `help:"Only those that were rejected longer ago, such as 1h."`
	Limit     int           `help:"Maximum number, 1 to 500." default:"100"`
	DryRun    bool          `help:"Only print which would be redriven."`
}

// Validate implements kong.Validatable.
func (o options) Validate() error {
	if !o.Redrive && (o.Queue != "" || o.Type != "" || o.Reason != "" || o.OlderThan != 0 || o.DryRun) {
		return errors.New("--queue, --type, --reason, --older-than and --dry-run require --redrive")
	}
	if o.OlderThan < 0 {
		return errors.New("--older-than must not be negative")
	}
	return nil
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("List the newest dead letters of a running store, or redrive them."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "deadletters:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	api := &client.Client{URL: o.URL}
	user, _, err := o.Login(ctx, api)
	if err != nil {
		return err
	}
	if o.Redrive {
		return redrive(ctx, api, user, o, out)
	}
	letters, err := api.DeadLetters(ctx, user)
	if err != nil {
		return err
	}
	return printLetters(out, letters)
}

func redrive(ctx context.Context, api *client.Client, user client.User, o options, out io.Writer) error {
	request := client.Redrive{Queue: o.Queue, EventType: o.Type, Reason: o.Reason, Limit: o.Limit, DryRun: o.DryRun}
	if o.OlderThan > 0 {
		before := time.Now().Add(-o.OlderThan)
		request.DiedBefore = &before
	}
	result, err := api.RedriveDeadLetters(ctx, user, request)
	if err != nil {
		return err
	}
	return printResult(out, result, o.DryRun)
}

func printResult(out io.Writer, r client.Redriven, dryRun bool) error {
	done := "redriven"
	if dryRun {
		done = "would be redriven"
	}
	text := fmt.Sprintf("%d dead letters: %s", len(r.IDs), done)
	if len(r.IDs) > 0 {
		text += fmt.Sprintf(" %v", r.IDs)
	}
	if r.Skipped > 0 {
		text += fmt.Sprintf("; %d are incomplete", r.Skipped)
	}
	if r.More {
		text += "; more match: run the command again"
	}
	_, err := fmt.Fprintln(out, text)
	return err
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
