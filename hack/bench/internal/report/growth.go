package report

import (
	"fmt"
	"io"
	"slices"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Size is a size of the system.
type Size struct {
	Products int64 `json:"products"`
	Sales    int64 `json:"sales"`
	Replicas int64 `json:"replicas"` // of each consumer
}

func (s Size) String() string {
	return english.Sprintf("%d products, %d past sales, %d of each consumer", s.Products, s.Sales, s.Replicas)
}

// Growth is the result of measurements at growing sizes.
type Growth struct {
	Run
	Points []Point `json:"points"`
}

// Point contains the measurements at a size.
type Point struct {
	// Curve is the size that has grown: sales, products or replicas.
	Curve string `json:"curve"`
	Size
	Samples []measure.Sample `json:"samples"`
	Rows    []Row            `json:"rows"`
}

// x returns the size on the point's curve.
func (p Point) x() int64 {
	return map[string]int64{"sales": p.Sales, "products": p.Products, "replicas": p.Replicas}[p.Curve]
}

// Add adds a point.
func (g *Growth) Add(curve string, s Size, samples []measure.Sample) {
	g.Points = append(g.Points, Point{curve, s, samples, rowsOf(samples)})
}

// curveFigures are the figures of orders and reads that are printed and plotted.
var curveFigures = []string{"orders", "decided p99", "POST /sales p99", "read p50", "read p99"}

// curves returns the points of each curve, in the order of their measurement.
func (g *Growth) curves() (curves [][]Point) {
	for _, p := range g.Points {
		if n := len(curves); n > 0 && curves[n-1][0].Curve == p.Curve {
			curves[n-1] = append(curves[n-1], p)
		} else {
			curves = append(curves, []Point{p})
		}
	}
	return curves
}

// Print writes a table for each curve, with a column for each of its points.
func (g *Growth) Print(w io.Writer) {
	fmt.Fprintf(w, "\nMedian of %d rounds, %g s each, at growing sizes.\n", g.Rounds, g.Seconds)
	for _, points := range g.curves() {
		t := &table{title: points[0].String() + " and up"}
		head := []string{""}
		for _, p := range points {
			head = append(head, english.Sprintf("%d %s", p.x(), p.Curve))
		}
		t.add(append(head, "")...)
		for _, row := range points[0].Rows {
			if !slices.Contains(curveFigures, row.Figure) {
				continue
			}
			line := []string{row.Measurement + " " + row.Figure}
			for _, p := range points {
				line = append(line, median(p.Rows, row.Measurement, row.Figure))
			}
			t.add(append(line, row.Unit)...)
		}
		t.write(w, 1)
	}
}

// Publish prints the tables and writes JSON and plots to a folder. It prints the paths.
func (g *Growth) Publish(w io.Writer, dir string) error {
	g.Print(w)
	return g.write(w, dir, "-growth", g, g.plot)
}
