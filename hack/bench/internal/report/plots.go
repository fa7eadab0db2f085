package report

import (
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// Sizes of the plots.
const (
	plotWidth = 20 * vg.Centimeter
	barWidth  = 0.5 * vg.Centimeter
	barHeight = 0.9 * vg.Centimeter
)

// plot writes the plots next to the JSON of the report.
func (r *Report) plot(base string) error {
	var latencies []Row
	for _, figure := range []string{"POST /sales p50", "POST /sales p99", "decided p50", "decided p99"} {
		for _, row := range r.rows(figure, "shop") {
			row.Measurement += " " + figure
			latencies = append(latencies, row)
		}
	}
	for name, chart := range map[string]struct {
		title, unit string
		rows        []Row
	}{
		"orders":   {"Orders", "orders/s", r.rows("orders", "sql", "broker", "saga", "shop")},
		"requests": {"Requests", "requests/s", r.rows("requests", "http")},
		"latency":  {"Latency in the open loop at half of the maximum", "ms", latencies},
		"cpu":      {"CPU of an order", "ms", r.rows("CPU of the system", "shop")},
	} {
		if len(chart.rows) == 0 {
			continue
		}
		p, err := bars(chart.rows)
		if err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		p.Title.Text, p.X.Label.Text, p.X.Min = chart.title, chart.unit, 0
		if err := p.Save(plotWidth, vg.Length(len(chart.rows))*barHeight+4*vg.Centimeter, base+"-"+name+".svg"); err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
	}
	return nil
}

// rows returns the rows of a figure in groups.
func (r *Report) rows(figure string, groups ...string) []Row {
	return slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool {
		return row.Figure != figure || !slices.Contains(groups, measure.Group(row.Measurement))
	})
}

// whiskers are error bars of minimum and maximum.
type whiskers struct {
	plotter.XYs
	plotter.XErrors
}

// bars returns a horizontal bar chart of the rows, the first at the top, with whiskers.
func bars(rows []Row) (*plot.Plot, error) {
	p := plot.New()
	slices.Reverse(rows)
	var values plotter.Values
	var names []string
	var spread whiskers
	for i, r := range rows {
		values, names = append(values, r.Median), append(names, r.Measurement)
		spread.XYs = append(spread.XYs, plotter.XY{X: r.Median, Y: float64(i)})
		spread.XErrors = append(spread.XErrors, struct{ Low, High float64 }{r.Median - r.Min, r.Max - r.Median})
	}
	chart, err := plotter.NewBarChart(values, barWidth)
	if err != nil {
		return nil, err
	}
	chart.Horizontal, chart.Color = true, plotutil.Color(2)
	ends, err := plotter.NewXErrorBars(spread)
	if err != nil {
		return nil, err
	}
	p.Add(chart, ends)
	p.NominalY(names...)
	return p, nil
}

// plot writes a plot for every figure of every curve.
func (g *Growth) plot(base string) error {
	for _, points := range g.curves() {
		for _, figure := range curveFigures {
			p, curve := plot.New(), points[0].Curve
			var lines []any
			for _, row := range points[0].Rows {
				if row.Figure != figure {
					continue
				}
				var line plotter.XYs
				for _, at := range points {
					if r, ok := find(at.Rows, row.Measurement, figure); ok {
						line = append(line, plotter.XY{X: float64(at.x()), Y: r.Median})
					}
				}
				lines = append(lines, row.Measurement, line)
				p.Y.Label.Text = row.Unit
			}
			if len(lines) == 0 {
				continue
			}
			if err := plotutil.AddLinePoints(p, lines...); err != nil {
				return fmt.Errorf("draw %s: %w", figure, err)
			}
			p.Title.Text, p.X.Label.Text, p.Y.Min = figure, curve, 0
			p.Legend.Top, p.Legend.Left = true, true
			if curve != "replicas" {
				p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
			}
			file := fmt.Sprintf("%s-%s-%s.svg", base, curve, strings.NewReplacer(" ", "-", "/", "").Replace(figure))
			if err := p.Save(plotWidth, plotWidth*2/3, file); err != nil {
				return fmt.Errorf("draw %s: %w", figure, err)
			}
		}
	}
	return nil
}
