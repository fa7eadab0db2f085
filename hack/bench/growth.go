package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/fill"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/mix"
	"ecommerce-stack.dev/hack/bench/internal/report"
	"ecommerce-stack.dev/hack/bench/internal/shop"
)

// growth measures the same figures at growing sizes: first more past sales, then more
// products, and at last more replicas of the consumers. Sizes only grow, so one system
// serves for all.
type growth struct {
	*bench
	now       report.Point
	firstSale int64 // that was filled in
	lastSale  int64
	curves    *report.Curves
}

// sizes of a growth run; the first of each is where the others start from.
func (o *options) checkSizes() error {
	for name, sizes := range map[string][]int64{"--products": o.Products, "--sales": o.Sales, "--replicas": o.Replicas} {
		if len(sizes) == 0 || !slices.IsSorted(sizes) || sizes[0] < 1 {
			return fmt.Errorf("%s must be sizes from 1 up, each above the one before", name)
		}
	}
	if o.Products[0] < mix.Products {
		return fmt.Errorf("--products must begin with %d at least, which are ordered from", mix.Products)
	}
	return nil
}

// bytesPerSale and bytesPerProduct are what the rows take on the disk with indexes,
// doubled for logs.
const bytesPerSale, bytesPerProduct = 4 << 10, 2 << 10

func (o *options) growthRoom() uint64 {
	return 4<<30 + uint64(o.Sales[len(o.Sales)-1])*bytesPerSale + uint64(o.Products[len(o.Products)-1])*bytesPerProduct
}

func (b *bench) grow(ctx context.Context) error {
	g := &growth{bench: b, now: report.Point{Products: mix.Products, Replicas: 1},
		curves: &report.Curves{Began: time.Now(), Rounds: b.options.Rounds, Seconds: b.options.Seconds, Settings: b.settings(ctx)}}
	err := g.run(ctx)
	if len(g.curves.Points) == 0 || ctx.Err() != nil {
		return err
	}
	g.curves.Print(os.Stdout)
	base, writeErr := g.curves.Write(b.out())
	if writeErr == nil {
		fmt.Printf("\nAll samples and plots: %s*\n", base)
	}
	return errors.Join(err, writeErr)
}

func (g *growth) run(ctx context.Context) error {
	o := g.options
	if err := g.products(ctx, o.Products[0]); err != nil {
		return err
	}
	for _, n := range o.Sales {
		if err := g.sales(ctx, n); err != nil {
			return err
		}
		if err := g.point(ctx, "sales"); err != nil {
			return err
		}
	}
	// Where the sales have grown to is where the products begin.
	g.curves.Continue("products")
	for _, n := range o.Products[1:] {
		if err := g.products(ctx, n); err != nil {
			return err
		}
		if err := g.point(ctx, "products"); err != nil {
			return err
		}
	}
	for _, n := range o.Replicas {
		if err := g.replicas(ctx, n); err != nil {
			return err
		}
		if err := g.point(ctx, "replicas"); err != nil {
			return err
		}
	}
	return nil
}

// products fills up to n.
func (g *growth) products(ctx context.Context, n int64) error {
	if n <= g.now.Products {
		return nil
	}
	err := g.show.Run(fmt.Sprintf("Fill up to %s products", report.Number(float64(n))), func(detail func(string)) error {
		tell := func(done int64) { detail(report.Number(float64(done))) }
		if err := fill.Products(ctx, g.db, fill.Shop, g.now.Products+1, n, tell); err != nil {
			return err
		}
		return fill.Analyse(ctx, g.db, fill.Shop)
	})
	g.now.Products = n
	return err
}

// sales fills up to n past ones.
func (g *growth) sales(ctx context.Context, n int64) error {
	err := g.show.Run(fmt.Sprintf("Fill up to %s past sales", report.Number(float64(n))), func(detail func(string)) error {
		tell := func(done int64) { detail(report.Number(float64(g.now.Sales + done))) }
		if err := fill.Sales(ctx, g.db, fill.Shop, n-g.now.Sales, shop.Customers, mix.Products, tell); err != nil {
			return err
		}
		return fill.Analyse(ctx, g.db, fill.Shop)
	})
	if err != nil {
		return err
	}
	// Reads draw from the sales that were filled in last: their ids follow each other.
	if err := g.db.QueryRowContext(ctx, "SELECT MAX(id) FROM "+fill.Shop.Sales+".sales").Scan(&g.lastSale); err != nil {
		return err
	}
	g.firstSale, g.now.Sales = g.lastSale-(n-g.now.Sales)+1, n
	return nil
}

// replicas starts consumers until there are n of each.
func (g *growth) replicas(ctx context.Context, n int64) error {
	for ; g.now.Replicas < n; g.now.Replicas++ {
		for _, service := range []string{"sales", "stock"} {
			if _, err := g.system.Replica(ctx, service); err != nil {
				return err
			}
		}
	}
	return nil
}

// auditMost is up to where the system's own audit, whose time grows with the ledger,
// checks what was filled in and what was sold.
const auditMost = 200_000

// point measures at the size that is reached.
func (g *growth) point(ctx context.Context, curve string) error {
	selected := []measure.Measurement{shop.Measurement{Shop: &g.shop, Scenario: shop.Over(g.now.Products)}}
	if curve != "replicas" {
		selected = append(selected, shop.Reads(&g.shop, g.now.Products, g.firstSale, g.lastSale)...)
	}
	g.shop.NoAudit = g.now.Sales > auditMost || g.now.Products > auditMost
	samples, err := g.rounds(ctx, g.now.String(), selected)
	if err != nil {
		return err
	}
	g.now.Curve = curve
	g.curves.Add(g.now, samples)
	return nil
}
