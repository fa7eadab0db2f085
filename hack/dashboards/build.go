package main

import (
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// dashboardSpec describes a dashboard.
type dashboardSpec struct {
	uid, title, description string
	rows                    []row
}

// row is a group of panels with a heading.
type row struct {
	title  string
	panels []panel
}

// panel describes a panel: a line for each series, or with now the last value as a number.
type panel struct {
	title, description string
	unit               unit
	now                bool
	queries            []query
	// warning and critical are the values from which the panel is yellow and red, or up to
	// which if less is worse. Both zero is a panel without a limit.
	warning, critical float64
	lessIsWorse       bool
	// runbook is the name of a file in docs/runbooks about values beyond the limits, or "".
	runbook string
}

// query is an expression in PromQL. STACK in it stands for the matchers of the stack that
// the variables select. legend is the template of a series' name.
type query struct{ expr, legend string }

// unit is the identifier of a unit in Grafana.
type unit string

const (
	seconds    unit = "s"
	bytes      unit = "bytes"
	bytesRate  unit = "Bps"
	count      unit = "short"
	percentage unit = "percentunit"
	perSecond  unit = "ops"
	requests   unit = "reqps"
	yesNo      unit = "bool_yes_no"
)

// Sizes of panels, in the units of Grafana's grid of 24 columns.
const (
	width     = 8
	height    = 8
	nowWidth  = 4
	nowHeight = 4
)

const (
	tag      = "ecommerce-stack"
	matchers = `namespace="$namespace",stack="$stack"`

	// runbooksURL is the default address of docs/runbooks.
	runbooksURL = "https://ecommerce-stack.dev/docs/runbooks"
)

var source = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("$datasource")}

// build returns the dashboard with the variables datasource, namespace and stack, which links
// to the other dashboards keep, and runbooks, the address of the folder with the runbooks. It has the classic schema, which every
// version of Grafana imports; that of package dashboardv2 needs Grafana 12.
func (d dashboardSpec) build() (dashboard.Dashboard, error) { //nolint:staticcheck // deprecated in favor of dashboardv2; see above
	b := dashboard.NewDashboardBuilder(d.title) //nolint:staticcheck // the same
	b.Uid(d.uid).Description(d.description).Tags([]string{tag}).
		Refresh("30s").Time("now-1h", "now").Timezone(common.TimeZoneBrowser).Readonly().
		Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("Dashboards").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).AsDropdown(true).IncludeVars(true).KeepTime(true)).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus")).
		WithVariable(variable("namespace", "Namespace", "label_values(build_info, namespace)")).
		WithVariable(variable("stack", "Stack", `label_values(build_info{namespace="$namespace"}, stack)`)).
		WithVariable(dashboard.NewTextBoxVariableBuilder("runbooks").Label("Address of the runbooks").DefaultValue(dashboard.StringOrMap{String: cog.ToPtr(runbooksURL)}))
	for _, r := range d.rows {
		b.WithRow(dashboard.NewRowBuilder(r.title))
		for _, p := range r.panels {
			b.WithPanel(p.builder())
		}
	}
	return b.Build()
}

func variable(name, label, values string) *dashboard.QueryVariableBuilder {
	return dashboard.NewQueryVariableBuilder(name).Label(label).Datasource(source).
		Query(dashboard.StringOrMap{String: cog.ToPtr(values)}).
		Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc)
}

func (p panel) builder() cog.Builder[dashboard.Panel] {
	if p.now {
		b := stat.NewPanelBuilder().Title(p.title).Description(p.description).Unit(string(p.unit)).Datasource(source).
			Thresholds(p.thresholds()).Span(nowWidth).Height(nowHeight).NoValue("no data").
			ColorMode(common.BigValueColorModeBackground).GraphMode(common.BigValueGraphModeArea).
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).Links(p.links())
		for _, q := range p.queries {
			b.WithTarget(q.builder())
		}
		return b
	}
	b := timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Unit(string(p.unit)).Datasource(source).
		Thresholds(p.thresholds()).Span(width).Height(height).NoValue("no data").Min(0).AxisSoftMax(p.softMax()).FillOpacity(10).
		Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom)).
		Links(p.links())
	if p.limited() {
		b.ThresholdsStyle(common.NewGraphThresholdsStyleConfigBuilder().Mode(common.GraphThresholdsStyleModeDashed))
	}
	for _, q := range p.queries {
		b.WithTarget(q.builder())
	}
	return b
}

// links returns the link to the runbook.
func (p panel) links() []cog.Builder[dashboard.DashboardLink] {
	if p.runbook == "" {
		return nil
	}
	return []cog.Builder[dashboard.DashboardLink]{dashboard.NewDashboardLinkBuilder("Runbook").
		Type(dashboard.DashboardLinkTypeLink).Url("${runbooks}/" + p.runbook + ".md").TargetBlank(true)}
}

// softMax returns the end of the axis for values below it: otherwise a graph of zeros has an
// axis to 100, or to 10,000 %.
func (p panel) softMax() float64 {
	switch {
	case p.limited() && !p.lessIsWorse:
		return p.warning
	case p.unit == percentage, p.unit == seconds:
		return .01
	}
	return 1
}

func (p panel) limited() bool { return p.warning != 0 || p.critical != 0 }

func (p panel) thresholds() cog.Builder[dashboard.ThresholdsConfig] {
	steps := []dashboard.Threshold{{Color: "green"}}
	switch {
	case p.limited() && p.lessIsWorse:
		steps = []dashboard.Threshold{{Color: "red"}, {Color: "yellow", Value: cog.ToPtr(p.critical)}, {Color: "green", Value: cog.ToPtr(p.warning)}}
	case p.limited():
		steps = append(steps, dashboard.Threshold{Color: "yellow", Value: cog.ToPtr(p.warning)},
			dashboard.Threshold{Color: "red", Value: cog.ToPtr(p.critical)})
	}
	return dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps(steps)
}

func (q query) builder() cog.Builder[variants.Dataquery] {
	return prometheus.NewDataqueryBuilder().Datasource(source).Expr(q.promQL()).LegendFormat(q.legend).Exemplar(true)
}

// promQL returns the expression with the matchers of the stack.
func (q query) promQL() string { return strings.ReplaceAll(q.expr, "STACK", matchers) }
