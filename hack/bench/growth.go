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
// products, then more replicas of the consumers. All points use one system, because
// sizes only grow.
type growth struct {
	*bench
	now       report.Point
	firstSale int64 // the ID of the first sale of the last fill
	lastSale  int64
	curves    *report.Curves
}

// checkSizes checks the sizes of a growth run.
func (o *options) checkSizes() error {
	for name, sizes := range map[string][]int64{"--products": o.Products, "--sales": o.Sales, "--replicas": o.Replicas} {
		if len(sizes) == 0 || !slices.IsSorted(sizes) || sizes[0] < 1 {
			return fmt.Errorf("%s must be increasing sizes of at least 1", name)
		}
	}
	if o.Products[0] < mix.Products {
		return fmt.Errorf("--products must begin with at least %d, because orders use that many products", mix.Products)
	}
	return nil
}

// bytesPerSale and bytesPerProduct are the disk space of the rows and indexes, doubled
// for logs.
const bytesPerSale, bytesPerProduct = 4 << 10, 2 << 10

func (o *options) growthSpace() uint64 {
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
	// The curve of products begins at the last point of the curve of sales.
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

// products adds products until there are n.
func (g *growth) products(ctx context.Context, n int64) error {
	if n <= g.now.Products {
		return nil
	}
	err := g.show.Run(fmt.Sprintf("Add products up to %s", report.Number(float64(n))), func(detail func(string)) error {
		progress := func(done int64) { detail(report.Number(float64(done))) }
		if err := fill.Products(ctx, g.db, fill.Shop, g.now.Products+1, n, progress); err != nil {
			return err
		}
		return fill.Analyze(ctx, g.db, fill.Shop)
	})
	g.now.Products = n
	return err
}

// sales adds past sales until there are n.
func (g *growth) sales(ctx context.Context, n int64) error {
	err := g.show.Run(fmt.Sprintf("Add past sales up to %s", report.Number(float64(n))), func(detail func(string)) error {
		progress := func(done int64) { detail(report.Number(float64(g.now.Sales + done))) }
		if err := fill.Sales(ctx, g.db, fill.Shop, n-g.now.Sales, shop.Customers, mix.Products, progress); err != nil {
			return err
		}
		return fill.Analyze(ctx, g.db, fill.Shop)
	})
	if err != nil {
		return err
	}
	// Reads use the sales of the last fill, which have consecutive IDs.
	if err := g.db.QueryRowContext(ctx, "SELECT MAX(id) FROM "+fill.Shop.Sales+".sales").Scan(&g.lastSale); err != nil {
		return err
	}
	g.firstSale, g.now.Sales = g.lastSale-(n-g.now.Sales)+1, n
	return nil
}

// replicas starts replicas of the consumers until there are n of each.
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

// maxAuditSize is the largest number of sales and products at which the system's audit
// runs, because its time grows with the ledger.
const maxAuditSize = 200_000

// point measures at the current size.
func (g *growth) point(ctx context.Context, curve string) error {
	selected := []measure.Measurement{shop.Measurement{Shop: &g.shop, Scenario: shop.Over(g.now.Products)}}
	if curve != "replicas" {
		selected = append(selected, shop.Reads(&g.shop, g.now.Products, g.firstSale, g.lastSale)...)
	}
	g.shop.NoAudit = g.now.Sales > maxAuditSize || g.now.Products > maxAuditSize
	samples, err := g.rounds(ctx, g.now.String(), selected)
	if err != nil {
		return err
	}
	g.now.Curve = curve
	g.curves.Add(g.now, samples)
	return nil
}
