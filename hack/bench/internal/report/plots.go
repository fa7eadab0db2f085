package report

import (
	"fmt"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// Sizes of the plots.
const (
	plotWidth = 20 * vg.Centimeter
	barWidth  = 0.5 * vg.Centimeter
	barHeight = 0.9 * vg.Centimeter
)

// plot writes the plots next to the JSON of the report.
func (r *Report) plot(base string) error {
	for _, chart := range []struct{ name, figure string }{
		{"orders", "orders"}, {"requests", "requests"}, {"latency", "decided p99"}, {"cpu", "CPU of the system"},
	} {
		rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Figure != chart.figure })
		if len(rows) == 0 {
			continue
		}
		p, err := bars(rows)
		if err != nil {
			return fmt.Errorf("draw %s: %w", chart.name, err)
		}
		p.Title.Text, p.X.Label.Text, p.X.Min = chart.figure, rows[0].Unit, 0
		if err := p.Save(plotWidth, vg.Length(len(rows))*barHeight+4*vg.Centimeter, base+"-"+chart.name+".svg"); err != nil {
			return fmt.Errorf("draw %s: %w", chart.name, err)
		}
	}
	return nil
}

// bars returns a horizontal bar chart of the medians of rows, the first at the top.
func bars(rows []Row) (*plot.Plot, error) {
	p := plot.New()
	var values plotter.Values
	var names []string
	for _, r := range slices.Backward(rows) {
		values, names = append(values, r.Median), append(names, r.Measurement)
	}
	chart, err := plotter.NewBarChart(values, barWidth)
	if err != nil {
		return nil, err
	}
	chart.Horizontal, chart.Color = true, plotutil.Color(2)
	p.Add(chart)
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
