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

// Plot writes the plots next to the JSON of the report and returns their paths.
func (r *Report) Plot(base string) ([]string, error) {
	var files []string
	for name, draw := range map[string]func() (*plot.Plot, int){
		"orders": r.plotOrders, "requests": r.plotRequests, "latency": r.plotLatency, "cpu": r.plotCPU,
	} {
		p, bars := draw()
		if bars == 0 {
			continue
		}
		file := base + "-" + name + ".svg"
		if err := p.Save(plotWidth, vg.Length(bars)*barHeight+4*vg.Centimeter, file); err != nil {
			return files, fmt.Errorf("draw %s: %w", file, err)
		}
		files = append(files, file)
	}
	slices.Sort(files)
	return files, nil
}

// bars returns a horizontal bar chart of the rows, the first at the top, with error bars of
// minimum and maximum, and the number of bars.
func bars(title, unit string, rows []Row) (*plot.Plot, int) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.X.Min = title, unit, 0
	if len(rows) == 0 {
		return p, 0
	}
	rows = slices.Clone(rows)
	slices.Reverse(rows)
	values, names := make(plotter.Values, len(rows)), make([]string, len(rows))
	spread := whiskered{make(plotter.XYs, len(rows)), make(plotter.XErrors, len(rows))}
	for i, r := range rows {
		values[i], names[i] = r.Median, r.Measurement
		spread.XYs[i].X, spread.XYs[i].Y = r.Median, float64(i)
		spread.XErrors[i].Low, spread.XErrors[i].High = r.Median-r.Min, r.Max-r.Median
	}
	chart, err := plotter.NewBarChart(values, barWidth)
	if err != nil {
		return p, 0
	}
	chart.Horizontal, chart.Color = true, plotutil.Color(2)
	p.Add(chart)
	if whiskers, err := plotter.NewXErrorBars(spread); err == nil {
		p.Add(whiskers)
	}
	p.NominalY(names...)
	return p, len(rows)
}

type whiskered struct {
	plotter.XYs
	plotter.XErrors
}

func (r *Report) rows(figure string, groups ...string) []Row {
	var rows []Row
	for _, row := range r.Rows {
		group, _, _ := strings.Cut(row.Measurement, "/")
		if row.Figure == figure && slices.Contains(groups, group) {
			rows = append(rows, row)
		}
	}
	return rows
}

func (r *Report) plotOrders() (*plot.Plot, int) {
	return bars("Orders", "orders/s", r.rows("orders", "sql", "broker", "saga", "shop"))
}

func (r *Report) plotRequests() (*plot.Plot, int) {
	return bars("Requests", "requests/s", r.rows("requests", "http"))
}

func (r *Report) plotLatency() (*plot.Plot, int) {
	var rows []Row
	for _, figure := range []string{"POST /sales p50", "POST /sales p99", "decided p50", "decided p99"} {
		for _, row := range r.rows(figure, "shop") {
			row.Measurement += " " + figure
			rows = append(rows, row)
		}
	}
	return bars("Latency in the open loop at half of the maximum", "ms", rows)
}

// plotCPU returns a stacked bar chart of the CPU time of an order by process.
func (r *Report) plotCPU() (*plot.Plot, int) {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.X.Min = "CPU of an order", "ms", 0
	var names []string
	for _, row := range r.rows("CPU of the system", "shop") {
		names = append([]string{row.Measurement}, names...)
	}
	if len(names) == 0 {
		return p, 0
	}
	var below *plotter.BarChart
	for i, process := range []string{"MariaDB", "RabbitMQ", "sales", "stock", "gateway"} {
		values := make(plotter.Values, len(names))
		for _, row := range r.rows("CPU "+process, "shop") {
			values[slices.Index(names, row.Measurement)] = row.Median
		}
		chart, err := plotter.NewBarChart(values, barWidth)
		if err != nil {
			return p, 0
		}
		chart.Horizontal, chart.Color, chart.LineStyle.Width = true, plotutil.Color(i), 0
		if below != nil {
			chart.StackOn(below)
		}
		below = chart
		p.Add(chart)
		p.Legend.Add(process, chart)
	}
	p.Legend.Top = true
	p.NominalY(names...)
	return p, len(names)
}

// plot writes a plot for every figure of every curve.
func (c *Curves) plot(base string) error {
	for _, curve := range []string{"sales", "products", "replicas"} {
		for _, figure := range curveFigures {
			p := plot.New()
			p.X.Label.Text, p.Y.Label.Text, p.Title.Text, p.Y.Min = curve, "", figure, 0
			n := 0
			for _, m := range c.measurements(curve, figure) {
				line, points, err := plotter.NewLinePoints(c.line(curve, m, figure))
				if err != nil {
					return fmt.Errorf("draw %s of %s: %w", figure, m, err)
				}
				line.Color, points.Color, points.Shape = plotutil.Color(n), plotutil.Color(n), plotutil.Shape(n)
				p.Add(line, points)
				p.Legend.Add(m, line, points)
				n++
			}
			if n == 0 {
				continue
			}
			p.Y.Label.Text = c.unit(figure)
			if curve != "replicas" {
				p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
			}
			p.Legend.Top, p.Legend.Left = true, true
			file := fmt.Sprintf("%s-%s-%s.svg", base, curve, strings.NewReplacer(" ", "-", "/", "").Replace(figure))
			if err := p.Save(plotWidth, plotWidth*2/3, file); err != nil {
				return fmt.Errorf("draw %s: %w", file, err)
			}
		}
	}
	return nil
}

func (c *Curves) measurements(curve, figure string) []string {
	var names []string
	for _, p := range c.Points {
		for _, row := range p.Rows {
			if p.Curve == curve && row.Figure == figure && !slices.Contains(names, row.Measurement) {
				names = append(names, row.Measurement)
			}
		}
	}
	return names
}

func (c *Curves) line(curve, measurement, figure string) plotter.XYs {
	var line plotter.XYs
	for _, p := range c.Points {
		for _, row := range p.Rows {
			if p.Curve == curve && row.Measurement == measurement && row.Figure == figure {
				line = append(line, plotter.XY{X: p.X(), Y: row.Median})
			}
		}
	}
	return line
}

func (c *Curves) unit(figure string) string {
	for _, p := range c.Points {
		for _, row := range p.Rows {
			if row.Figure == figure {
				return row.Unit
			}
		}
	}
	return ""
}
