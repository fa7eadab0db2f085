package report

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Point is a size of the system.
type Point struct {
	// Curve is the size that has grown: sales, products or replicas.
	Curve    string `json:"curve"`
	Products int64  `json:"products"`
	Sales    int64  `json:"sales"`
	Replicas int64  `json:"replicas"` // of each consumer
}

// X returns the size on the point's curve.
func (p Point) X() float64 {
	switch p.Curve {
	case "products":
		return float64(p.Products)
	case "replicas":
		return float64(p.Replicas)
	}
	return float64(p.Sales)
}

func (p Point) String() string {
	return fmt.Sprintf("%s products, %s past sales, %d of each consumer", integer(float64(p.Products)), integer(float64(p.Sales)), p.Replicas)
}

func integer(v float64) string { return thousands(strconv.FormatFloat(v, 'f', 0, 64)) }

// Curves are the figures at growing sizes.
type Curves struct {
	Began    time.Time `json:"began"`
	Rounds   int       `json:"rounds"`
	Seconds  float64   `json:"seconds"`
	Settings []Setting `json:"settings"`
	Points   []At      `json:"points"`
}

// At contains the measurements at a point.
type At struct {
	Point
	Samples []measure.Sample `json:"samples"`
	Rows    []Row            `json:"rows"`
}

// Add adds a point.
func (c *Curves) Add(p Point, samples []measure.Sample) {
	c.Points = append(c.Points, At{p, samples, rowsOf(samples)})
}

// Continue starts another curve at the last point.
func (c *Curves) Continue(curve string) {
	if n := len(c.Points); n > 0 {
		first := c.Points[n-1]
		first.Curve = curve
		c.Points = append(c.Points, first)
	}
}

// curveFigures are the figures of orders and reads that are plotted.
var curveFigures = []string{"orders", "decided p99", "POST /sales p99", "read p50", "read p99"}

// Print writes a table for each curve, with a column for each of its points.
func (c *Curves) Print(w io.Writer) {
	fmt.Fprintf(w, "\nMedian of %d rounds, %g s each, at growing sizes.\n", c.Rounds, c.Seconds)
	for _, curve := range []string{"sales", "products", "replicas"} {
		t := &table{}
		head := []string{""}
		var points []At
		for _, p := range c.Points {
			if p.Curve == curve {
				points = append(points, p)
				head = append(head, integer(p.X())+" "+curve)
			}
		}
		if len(points) == 0 {
			continue
		}
		t.add(append(head, "")...)
		for _, row := range points[len(points)-1].Rows {
			if !isDrawn(row.Figure) {
				continue
			}
			line := []string{row.Measurement + " " + row.Figure}
			for _, p := range points {
				line = append(line, p.median(row.Measurement, row.Figure))
			}
			t.add(append(line, row.Unit)...)
		}
		section(w, points[0].String()+" and up")
		t.write(w)
	}
}

func isDrawn(figure string) bool {
	for _, f := range curveFigures {
		if f == figure {
			return true
		}
	}
	return false
}

func (a At) median(measurement, figure string) string {
	for _, row := range a.Rows {
		if row.Measurement == measurement && row.Figure == figure {
			return Number(row.Median)
		}
	}
	return ""
}

// Write writes JSON and plots and returns the common prefix of their paths.
func (c *Curves) Write(dir string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	raw, err := json.MarshalIndent(c, "", " ")
	if err != nil {
		return "", fmt.Errorf("encode the curves: %w", err)
	}
	base := filepath.Join(dir, c.Began.UTC().Format("20060102T150405Z")+"-growth")
	if err := os.WriteFile(base+".json", append(raw, '\n'), 0o644); err != nil {
		return "", err
	}
	return base, c.plot(base)
}
