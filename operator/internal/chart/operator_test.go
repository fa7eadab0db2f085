package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// TestOperatorShipsDashboardsAndAlerts compares the ConfigMaps of the operator's chart with
// the files of config/grafana and config/prometheus.
func TestOperatorShipsDashboardsAndAlerts(t *testing.T) {
	t.Parallel()
	config := filepath.Join("..", "..", "..", "config")
	files, err := filepath.Glob(filepath.Join(config, "grafana", "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d dashboards, %v", len(files), err)
	}
	want, got := map[string]string{}, map[string]string{}
	for _, file := range files {
		want[filepath.Base(file)] = readFile(t, file)
	}
	var alerts map[string]any
	for _, object := range operatorObjects(t, nil) {
		data, _, _ := unstructured.NestedStringMap(object.Object, "data")
		if object.GetLabels()["grafana_dashboard"] == "1" {
			for name, content := range data {
				got[name] = content
			}
		}
		if strings.HasSuffix(object.GetName(), "-alerts") {
			if err := yaml.Unmarshal([]byte(data["object.yaml"]), &alerts); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dashboards (-file +ConfigMap):\n%s", diff)
	}
	var rules map[string]any
	if err := yaml.Unmarshal([]byte(readFile(t, filepath.Join(config, "prometheus", "rules.yaml"))), &rules); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules, alerts["spec"]); diff != "" {
		t.Errorf("alerts (-file +ConfigMap):\n%s", diff)
	}
	for _, object := range operatorObjects(t, map[string]any{
		"dashboards": map[string]any{"enabled": false}, "monitoring": map[string]any{"alerts": false, "podMonitor": false},
	}) {
		if object.GetKind() == "ConfigMap" || strings.HasSuffix(object.GetName(), "-monitoring") {
			t.Errorf("%s %s although dashboards and monitoring are off", object.GetKind(), object.GetName())
		}
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
