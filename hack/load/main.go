// Command load sends the requests of shoppers to a running store at a constant rate, and says
// how they ended:
//
//	go run ./hack/load --rate 50 --duration 30s
//
// The model is open: requests are sent when they are due, whether or not earlier ones have
// ended, as those of independent customers are. So a slow store has more of them in progress,
// and their waiting is part of the durations. The sequence of requests depends on the seed.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"ecommerce-stack.dev/hack/internal/manager"
)

type options struct {
	manager.Flags
	Rate     int           `help:"Requests per second, 1 to 5000. The gateway limits each address and each user to 100 by default." default:"50"`
	Duration time.Duration `help:"Duration, at most 10m: then the tokens expire." default:"30s"`
	Shoppers int           `help:"Customers to register, 1 to 50. Registrations of one address are limited to 60 a minute by default." default:"10"`
	Products int           `help:"Products to create, 1 to 1000. The first are the most popular." default:"20"`
	Seed     uint64        `help:"Seed of the random choices." default:"1"`
}

// Validate is called by kong.
func (o options) Validate() error {
	for _, limit := range []struct {
		flag       string
		value, max int
	}{{"rate", o.Rate, 5000}, {"shoppers", o.Shoppers, 50}, {"products", o.Products, 1000}} {
		if limit.value < 1 || limit.value > limit.max {
			return fmt.Errorf("--%s is %d, but must be from 1 to %d", limit.flag, limit.value, limit.max)
		}
	}
	if o.Duration < time.Second || o.Duration > 10*time.Minute {
		return fmt.Errorf("--duration is %s, but must be from 1s to 10m", o.Duration)
	}
	return nil
}

func main() {
	var o options
	kong.Parse(&o, kong.Name("load"), kong.Description("Send the requests of shoppers to a running store."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
