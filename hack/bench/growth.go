package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

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
	now       report.Size
	firstSale int64 // the ID of the first sale of the last fill
	lastSale  int64
	last      []measure.Sample // of the last point
	result    report.Growth
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

// growthSpace returns the disk space of a growth run in bytes: that of the rows and indexes,
// doubled for logs.
func (o *options) growthSpace() uint64 {
	const perSale, perProduct = 4 << 10, 2 << 10
	return 4<<30 + uint64(o.Sales[len(o.Sales)-1])*perSale + uint64(o.Products[len(o.Products)-1])*perProduct
}

// checkSpace returns an error if the disk of a folder has less than the required free bytes.
func checkSpace(dir string, bytes uint64) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("read the free space of %s: %w", dir, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < bytes {
		return fmt.Errorf("%s has %d MiB free, but this run needs about %d MiB: delete files, set TMPDIR to a folder on a larger disk, or use smaller --sales and --products, such as --sales 10000,1000000",
			dir, free>>20, bytes>>20)
	}
	return nil
}

func (b *bench) grow(ctx context.Context) error {
	g := &growth{bench: b, now: report.Size{Products: mix.Products, Replicas: 1}, result: report.Growth{Run: b.description(ctx)}}
	err := g.run(ctx)
	if len(g.result.Points) == 0 || ctx.Err() != nil {
		return err
	}
	return errors.Join(err, g.result.Publish(os.Stdout, b.options.Out))
}

func (g *growth) run(ctx context.Context) error {
	if err := g.products(ctx, g.options.Products[0]); err != nil {
		return err
	}
	for _, curve := range []struct {
		name  string
		sizes []int64
		grow  func(context.Context, int64) error
	}{{"sales", g.options.Sales, g.sales}, {"products", g.options.Products[1:], g.products}, {"replicas", g.options.Replicas, g.replicas}} {
		if curve.name == "products" {
			g.result.Add(curve.name, g.now, g.last) // It begins at the last point of the curve of sales.
		}
		for _, n := range curve.sizes {
			if err := curve.grow(ctx, n); err != nil {
				return err
			}
			if err := g.point(ctx, curve.name); err != nil {
				return err
			}
		}
	}
	return nil
}

// add shows the progress of a step that inserts rows, and updates the server's statistics.
func (g *growth) add(ctx context.Context, what string, n int64, insert func(progress func(int64)) error) error {
	return g.show.Run(fmt.Sprintf("Add %s up to %s", what, report.Number(float64(n))), func(detail func(string)) error {
		if err := insert(func(done int64) { detail(report.Number(float64(done))) }); err != nil {
			return err
		}
		return fill.Analyze(ctx, g.present.db, fill.Shop)
	})
}

// products adds products until there are n.
func (g *growth) products(ctx context.Context, n int64) error {
	if n <= g.now.Products {
		return nil
	}
	err := g.add(ctx, "products", n, func(progress func(int64)) error {
		return fill.Products(ctx, g.present.db, fill.Shop, g.now.Products+1, n, progress)
	})
	g.now.Products = n
	return err
}

// sales adds past sales until there are n.
func (g *growth) sales(ctx context.Context, n int64) error {
	err := g.add(ctx, "past sales", n, func(progress func(int64)) error {
		return fill.Sales(ctx, g.present.db, fill.Shop, n-g.now.Sales, shop.Customers, mix.Products, progress)
	})
	if err != nil {
		return err
	}
	// Reads use the sales of the last fill, which have consecutive IDs.
	if err := g.present.db.QueryRowContext(ctx, "SELECT MAX(id) FROM "+fill.Shop.Sales+".sales").Scan(&g.lastSale); err != nil {
		return err
	}
	g.firstSale, g.now.Sales = g.lastSale-(n-g.now.Sales)+1, n
	return nil
}

// replicas starts replicas of the consumers until there are n of each.
func (g *growth) replicas(ctx context.Context, n int64) error {
	for ; g.now.Replicas < n; g.now.Replicas++ {
		for _, service := range []string{"sales", "stock"} {
			if _, err := g.present.local.Replica(ctx, service); err != nil {
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
	s := &g.present.shop
	selected := []measure.Measurement{shop.Over(s, g.now.Products)}
	if curve != "replicas" {
		selected = append(selected, shop.Reads(s, g.now.Products, g.firstSale, g.lastSale)...)
	}
	s.NoAudit = max(g.now.Sales, g.now.Products) > maxAuditSize
	g.show.Printf("  At %s", g.now)
	var err error
	if g.last, err = g.rounds(ctx, selected); err == nil {
		g.result.Add(curve, g.now, g.last)
	}
	return err
}
