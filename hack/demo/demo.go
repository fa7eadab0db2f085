package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/brianvoe/gofakeit/v7"
	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/client"
)

// The initial stock of each product: half when it is created, half received.
const (
	products  = 3
	initially = 10
	received  = 10
)

// settleTime bounds the time until the outcome of an order.
const settleTime = 30 * time.Second

// demo is one run of the demonstration.
type demo struct {
	api               *client.Client
	manager, customer client.User
	out               io.Writer

	names  map[int64]string
	ids    []int64
	before map[int64]client.Stock
	orders []*order
}

// order is an order with one of the possible outcomes.
type order struct {
	title string
	hold  bool
	items func(ids []int64) []client.Item
	// then is called once the items are reserved.
	then func(ctx context.Context, d *demo, id int64) error
	// want is the final status, leaves whether the items are removed from stock.
	want   string
	leaves bool
	sale   client.Sale
}

func orders() []*order {
	return []*order{
		{title: "confirmed", want: "Confirmed", leaves: true, items: func(ids []int64) []client.Item {
			return []client.Item{{ProductID: ids[0], Quantity: 2}, {ProductID: ids[1], Quantity: 1}}
		}},
		{title: "hold, then confirm", hold: true, want: "Confirmed", leaves: true, then: confirm,
			items: func(ids []int64) []client.Item { return []client.Item{{ProductID: ids[1], Quantity: 3}} }},
		{title: "hold, then cancel", hold: true, want: "Canceled", then: cancel,
			items: func(ids []int64) []client.Item { return []client.Item{{ProductID: ids[2], Quantity: 4}} }},
		{title: "more than available", want: "Unauthorized", items: func(ids []int64) []client.Item {
			return []client.Item{{ProductID: ids[0], Quantity: 1}, {ProductID: ids[2], Quantity: initially + received + 1}}
		}},
	}
}

func confirm(ctx context.Context, d *demo, id int64) error {
	_, err := d.api.Confirm(ctx, d.customer, id)
	return err
}

func cancel(ctx context.Context, d *demo, id int64) error {
	return d.api.Cancel(ctx, d.customer, id)
}

func (d *demo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{d.fill, d.register, d.place, d.settle} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	after, err := d.awaitStock(ctx)
	d.print(after)
	if err != nil {
		return err
	}
	violations, err := d.api.Audit(ctx, d.manager)
	if err != nil {
		return fmt.Errorf("audit the ledger: %w", err)
	}
	if len(violations) > 0 {
		return fmt.Errorf("the ledger is inconsistent: %s", strings.Join(violations, "; "))
	}
	fmt.Fprintln(d.out, "The audit found no violation: the ledger matches every quantity.")
	return nil
}

// fill adds products and receives stock.
func (d *demo) fill(ctx context.Context) error {
	d.names, d.before = map[int64]string{}, map[int64]client.Stock{}
	for range products {
		p, err := d.api.AddProduct(ctx, d.manager, client.Product{
			Name: gofakeit.ProductName(), Description: gofakeit.ProductDescription(),
			Price: fmt.Sprintf("%.2f", gofakeit.Price(5, 500)), Quantity: initially,
		})
		if err != nil {
			return fmt.Errorf("add a product: %w", err)
		}
		now, err := d.api.Receive(ctx, d.manager, p.ID, received)
		if err != nil {
			return fmt.Errorf("receive stock of product %d: %w", p.ID, err)
		}
		d.ids, d.names[p.ID], d.before[p.ID] = append(d.ids, p.ID), p.Name, now
	}
	fmt.Fprintf(d.out, "Added %d products and received their stock.\n", products)
	return nil
}

func (d *demo) register(ctx context.Context) error {
	name := gofakeit.FirstName()
	email := strings.ToLower(name + "." + rand.Text()[:8] + "@example.com")
	customer, err := d.api.Register(ctx, name, email, rand.Text())
	if err != nil {
		return fmt.Errorf("register a client: %w", err)
	}
	d.customer = customer
	fmt.Fprintf(d.out, "Registered the client %s.\n", email)
	return nil
}

func (d *demo) place(ctx context.Context) error {
	d.orders = orders()
	for _, o := range d.orders {
		made, err := d.api.Place(ctx, d.customer, o.hold, rand.Text(), o.items(d.ids)...)
		if err != nil {
			return fmt.Errorf("place the order %q: %w", o.title, err)
		}
		o.sale = made
	}
	fmt.Fprintf(d.out, "Placed %d orders.\n\n", len(d.orders))
	return nil
}

// settle waits for every outcome and compares it with the expected one.
func (d *demo) settle(ctx context.Context) error {
	var wrong []error
	for _, o := range d.orders {
		if err := d.settleOne(ctx, o); err != nil {
			wrong = append(wrong, fmt.Errorf("order %q: %w", o.title, err))
		}
	}
	return errors.Join(wrong...)
}

func (d *demo) settleOne(ctx context.Context, o *order) error {
	ctx, stop := context.WithTimeout(ctx, settleTime)
	defer stop()
	if o.then != nil {
		_, err := d.api.Await(ctx, d.customer, o.sale.ID, "reserved", func(s client.Sale) bool { return s.TotalAmount != "" })
		if err != nil {
			return err
		}
		if err := o.then(ctx, d, o.sale.ID); err != nil {
			return err
		}
	}
	sale, err := d.api.Await(ctx, d.customer, o.sale.ID, o.want, func(s client.Sale) bool { return s.Status == o.want })
	o.sale = sale
	return err
}

// awaitStock waits until the stock equals the expected quantities.
func (d *demo) awaitStock(ctx context.Context) (map[int64]client.Stock, error) {
	want, after := d.expected(), map[int64]client.Stock{}
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, settleTime, true, func(ctx context.Context) (bool, error) {
		for _, id := range d.ids {
			now, err := d.api.Stock(ctx, d.manager, id)
			if err != nil {
				return false, fmt.Errorf("read the stock of product %d: %w", id, err)
			}
			after[id] = now
		}
		return maps.Equal(after, want), nil
	})
	if err != nil {
		err = fmt.Errorf("after the orders the stock is %v, want %v: %w", after, want, err)
	}
	return after, err
}

func (d *demo) expected() map[int64]client.Stock {
	want := map[int64]client.Stock{}
	for id, s := range d.before {
		want[id] = s
	}
	for _, o := range d.orders {
		for _, item := range o.items(d.ids) {
			if s := want[item.ProductID]; o.leaves {
				s.Available -= item.Quantity
				s.Removed += item.Quantity
				want[item.ProductID] = s
			}
		}
	}
	return want
}

func (d *demo) print(after map[int64]client.Stock) {
	w := tabwriter.NewWriter(d.out, 2, 4, 3, ' ', 0)
	fmt.Fprintln(w, "SALE\tORDER\tSTATUS\tREASON\tTOTAL")
	for _, o := range d.orders {
		total := "-"
		if o.sale.TotalAmount != "" {
			total = o.sale.TotalAmount + " " + o.sale.Currency
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", o.sale.ID, o.title, o.sale.Status, cmp.Or(o.sale.Reason, "-"), total)
	}
	fmt.Fprintln(w, "\nPRODUCT\tNAME\tAVAILABLE\tRESERVED\tREMOVED")
	slices.Sort(d.ids)
	for _, id := range d.ids {
		b, a := d.before[id], after[id]
		fmt.Fprintf(w, "%d\t%s\t%d -> %d\t%d -> %d\t%d -> %d\n", id, d.names[id],
			b.Available, a.Available, b.Reserved, a.Reserved, b.Removed, a.Removed)
	}
	fmt.Fprintln(w)
	_ = w.Flush() // The output may be closed; the result is the exit status.
}
