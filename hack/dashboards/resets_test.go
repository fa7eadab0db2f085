package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// counterName matches the names of counters, and of the parts of histograms.
var counterName = regexp.MustCompile(`_(total|count|sum|bucket)$`)

// TestCountersAreUsedAsRates checks that each counter in a query or rule is the argument of
// rate or increase, which compensate resets. Any other function would show a restart of a pod as a
// negative number or a jump.
func TestCountersAreUsedAsRates(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, expression := range append(queryExpressions(), ruleExpressions(t)...) {
		for _, s := range selectors(t, expression) {
			// The names of mysqld_exporter have no suffix.
			isRate, mayBeCounter := s.function == "rate" || s.function == "increase", counterName.MatchString(s.Name) || strings.HasPrefix(s.Name, "mysql_global_status_")
			if counterName.MatchString(s.Name) && !isRate || isRate && !mayBeCounter {
				t.Errorf("%s: %s is the argument of %q; counters, and only counters, need rate or increase", expression, s, s.function)
			}
			checked++
		}
	}
	if checked < 100 {
		t.Errorf("%d series are checked, want those of all dashboards and rules", checked)
	}
}

// TestPanelsSurviveRestarts runs each query of the dashboards over counters that are reset,
// and over series that end and begin again as around a restart with failed scrapes. No query
// returns a negative number or NaN, and each returns data before and after.
func TestPanelsSurviveRestarts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs promtool; not part of a -short run")
	}
	type evaluation struct {
		Expr    string           `yaml:"expr"`
		At      string           `yaml:"eval_time"`
		Samples []map[string]any `yaml:"exp_samples"`
	}
	type group struct {
		Name        string              `yaml:"name"`
		Interval    string              `yaml:"interval"`
		Series      []map[string]string `yaml:"input_series"`
		Evaluations []evaluation        `yaml:"promql_expr_test"`
	}
	var groups []group
	// Samples of a counter that increases by %[1]d every 15 s. The gauges are constant.
	for name, pattern := range map[string]string{"reset": "0+%[1]dx12 0+%[1]dx12", "restart": "0+%[1]dx12 stale _x3 0+%[1]dx8"} {
		series := map[string]string{}
		g := group{Name: name, Interval: "15s"}
		for _, expression := range queryExpressions() {
			for _, s := range selectors(t, expression) {
				maps.Copy(series, s.samples(pattern))
			}
			for _, at := range []string{"2m", "3m", "3m15s", "3m30s", "4m", "4m30s", "5m30s"} {
				g.Evaluations = append(g.Evaluations, evaluation{Expr: fmt.Sprintf("(%[1]s) < 0 or (%[1]s) != (%[1]s)", expression), At: at})
			}
			for _, at := range []string{"2m", "5m30s"} {
				g.Evaluations = append(g.Evaluations, evaluation{Expr: "count(" + expression + ") > bool 0", At: at,
					Samples: []map[string]any{{"labels": "{}", "value": 1}}})
			}
		}
		for _, s := range slices.Sorted(maps.Keys(series)) {
			g.Series = append(g.Series, map[string]string{"series": s, "values": series[s]})
		}
		groups = append(groups, g)
	}
	content, err := yaml.Marshal(map[string]any{"evaluation_interval": "15s", "tests": groups})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "restarts.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.CommandContext(t.Context(), "promtool", "test", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("promtool test rules: %v\n%.3000s", err, output)
	}
}

// queryExpressions returns the queries of all dashboards.
func queryExpressions() []string {
	var expressions []string
	for _, d := range all {
		for _, r := range d.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					expressions = append(expressions, strings.ReplaceAll(q.promQL(), "$__rate_interval", "1m"))
				}
			}
		}
	}
	return expressions
}

// ruleExpressions returns the expressions of the recording rules and alerts.
func ruleExpressions(t *testing.T) []string {
	t.Helper()
	var rules struct {
		Groups []struct{ Rules []struct{ Expr string } }
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(rulesFolder, "rules.yaml"))), &rules); err != nil {
		t.Fatal(err)
	}
	var expressions []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			expressions = append(expressions, r.Expr)
		}
	}
	return expressions
}

// selector is a series in an expression, with the function of its range, or "".
type selector struct {
	*parser.VectorSelector
	function string
}

func selectors(t *testing.T, expression string) []selector {
	t.Helper()
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	var found []selector
	parser.Inspect(tree, func(node parser.Node, ancestors []parser.Node) error {
		if vector, ok := node.(*parser.VectorSelector); ok {
			s := selector{VectorSelector: vector}
			if n := len(ancestors); n > 1 {
				_, isRange := ancestors[n-1].(*parser.MatrixSelector)
				call, isCall := ancestors[n-2].(*parser.Call)
				if !isCall && n > 2 {
					call, isCall = ancestors[n-3].(*parser.Call) // behind the list of arguments
				}
				if isRange && isCall {
					s.function = call.Func.Name
				}
			}
			found = append(found, s)
		}
		return nil
	})
	return found
}

// samples returns the samples, by series, that the selector matches. Counters follow the
// pattern, and the buckets of a histogram are consistent.
func (s selector) samples(pattern string) map[string]string {
	var pairs []string
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			continue
		}
		value := m.Value
		switch m.Type {
		case labels.MatchRegexp:
			value, _, _ = strings.Cut(value, "|")
			value = strings.ReplaceAll(value, ".", "0")
		case labels.MatchNotEqual, labels.MatchNotRegexp:
			value = "other"
		}
		pairs = append(pairs, fmt.Sprintf("%s=%q", m.Name, value))
	}
	series := func(more ...string) string { return s.Name + "{" + strings.Join(append(pairs, more...), ",") + "}" }
	switch {
	case strings.HasSuffix(s.Name, "_bucket"):
		return map[string]string{
			series(`le="0.1"`):  fmt.Sprintf(pattern, 10),
			series(`le="1"`):    fmt.Sprintf(pattern, 20),
			series(`le="+Inf"`): fmt.Sprintf(pattern, 20),
		}
	case s.function != "":
		return map[string]string{series(): fmt.Sprintf(pattern, 20)}
	case strings.HasSuffix(s.Name, "_expiry_timestamp_seconds"):
		return map[string]string{series(): "1000000+0x30"} // in the future
	}
	return map[string]string{series(): "1+0x30"}
}
