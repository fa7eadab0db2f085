package main

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/internal/chart"
)

// TestChartSetsFlags parses the arguments that the operator's chart passes.
func TestChartSetsFlags(t *testing.T) {
	loaded, err := chart.Load(charts.Operator)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := loaded.Render(charts.Operator, "ecommerce", "ecommerce-system", map[string]any{
		"watchNamespaces": []any{"shop", "outlet"},
		"monitoring":      map[string]any{"labels": map[string]any{"release": "prometheus", "team/name": "shop"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var arguments []string
	for _, object := range objects {
		if object.GetKind() != "Deployment" {
			continue
		}
		containers, _, err := unstructured.NestedSlice(object.Object, "spec", "template", "spec", "containers")
		if err != nil {
			t.Fatal(err)
		}
		for _, argument := range containers[0].(map[string]any)["args"].([]any) {
			arguments = append(arguments, argument.(string))
		}
	}
	var got settings
	parser, err := kong.New(&got, kong.Vars{"version": version})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(arguments); err != nil {
		t.Fatalf("%q: %v", arguments, err)
	}
	if diff := cmp.Diff([]string{"ecommerce-operator-podmonitor", "ecommerce-operator-alerts"}, got.OptionalObjects); diff != "" {
		t.Errorf("optional objects (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"release": "prometheus", "team/name": "shop"}, got.MonitoringLabels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"shop", "outlet"}, got.WatchNamespaces); diff != "" {
		t.Errorf("namespaces (-want +got):\n%s", diff)
	}
	if got.MySQLExporterImage != "prom/mysqld-exporter:v0.19.0" || got.ImageTag != "dev" {
		t.Errorf("exporter's image %s, tag %s, want those of the chart", got.MySQLExporterImage, got.ImageTag)
	}
}

func TestLogLevelChangesWhileTheOperatorRuns(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	level := new(slog.LevelVar)
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: level}))
	handler := metricsOptions(":9090", level, log).ExtraHandlers["/log-level"]
	request := httptest.NewRequest("PUT", "/log-level", strings.NewReader("debug"))
	request.RemoteAddr = "127.0.0.1:1"
	handler.ServeHTTP(httptest.NewRecorder(), request)
	log.Debug("observed")
	if !strings.Contains(out.String(), `"msg":"observed"`) {
		t.Errorf("after a change to debug, the log is %s", out.String())
	}
}
