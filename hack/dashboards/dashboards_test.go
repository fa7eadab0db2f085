package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
)

var (
	committed = filepath.Join("..", "..", "config", "grafana")
	runbooks  = filepath.Join("..", "..", "docs", "runbooks")
)

func TestCommittedDashboardsAreUpToDate(t *testing.T) {
	t.Parallel()
	written := t.TempDir()
	if err := write(written); err != nil {
		t.Fatal(err)
	}
	want, got := files(t, written), files(t, committed)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run `go run ./hack/dashboards config/grafana`; (-want +committed):\n%s", diff)
	}
}

// files returns the contents of the JSON files of a folder by name.
func files(t *testing.T, folder string) map[string]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	contents := map[string]string{}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents[filepath.Base(name)] = string(content)
	}
	return contents
}

func TestPanelsAreDescribed(t *testing.T) {
	t.Parallel()
	uids, linked := map[string]bool{}, map[string]bool{}
	for _, d := range all {
		if d.uid == "" || d.title == "" || d.description == "" || uids[d.uid] {
			t.Errorf("dashboard %q: it needs a uid of its own, a title and a description", d.title)
		}
		uids[d.uid] = true
		for _, r := range d.rows {
			for _, p := range r.panels {
				name := d.title + ", " + p.title
				if p.title == "" || !strings.HasSuffix(p.description, ".") || p.unit == "" || len(p.queries) == 0 {
					t.Errorf("%s: it needs a title, a description in sentences, a unit and queries", name)
				}
				if !p.now && !strings.HasSuffix(p.title, "?") {
					t.Errorf("%s: the title of a graph is a question", name)
				}
				if p.runbook != "" {
					linked[p.runbook] = true
					if _, err := os.Stat(filepath.Join(runbooks, p.runbook+".md")); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				if p.warning > p.critical && !p.lessIsWorse || p.warning < p.critical && p.lessIsWorse {
					t.Errorf("%s: warning %v and critical %v are in the wrong order", name, p.warning, p.critical)
				}
			}
		}
	}
	all, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil || len(all) == 0 {
		t.Fatalf("%d runbooks, %v", len(all), err)
	}
	for _, file := range all {
		if name := strings.TrimSuffix(filepath.Base(file), ".md"); !linked[name] {
			t.Errorf("no panel links to the runbook %s", name)
		}
	}
}

func TestQueriesAreValid(t *testing.T) {
	t.Parallel()
	for _, d := range all {
		for _, r := range d.rows {
			for _, p := range r.panels {
				for _, q := range p.queries {
					expression, err := parser.NewParser(parser.Options{}).ParseExpr(strings.ReplaceAll(q.promQL(), "$__rate_interval", "5m"))
					if err != nil {
						t.Errorf("%s, %s: %v", d.title, p.title, err)
						continue
					}
					checkSelectors(t, d, p, expression)
				}
			}
		}
	}
}

// checkSelectors checks that each series is selected by the variables of its dashboard, so
// that no panel mixes stacks.
func checkSelectors(t *testing.T, d dashboardSpec, p panel, expression parser.Expr) {
	t.Helper()
	parser.Inspect(expression, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		var labels []string
		for _, m := range selector.LabelMatchers {
			labels = append(labels, m.Name)
		}
		ofStack := slices.Contains(labels, "namespace") && slices.Contains(labels, "stack")
		if ofStack == (d.uid == operator.uid) {
			t.Errorf("%s, %s: the series %s are not selected as those of the dashboard", d.title, p.title, selector)
		}
		return nil
	})
}
