package chart_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/internal/chart"
)

var update = flag.Bool("update", false, "update the golden files")

const (
	release   = "demo"
	namespace = "shop"
)

// renderCase is a chart with the values to render it with: its defaults, or the file
// testdata/<chart>-<case>.values.yaml.
type renderCase struct{ chart, name, valuesFile string }

func cases(t *testing.T) []renderCase {
	t.Helper()
	var all []renderCase
	for _, name := range charts.Names {
		all = append(all, renderCase{name, name, ""})
	}
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".values.yaml")
		chart, _, _ := strings.Cut(name, "-")
		all = append(all, renderCase{chart, name, file})
	}
	return all
}

func (c renderCase) values(t *testing.T) map[string]any {
	t.Helper()
	if c.valuesFile == "" {
		return nil
	}
	content, err := os.ReadFile(c.valuesFile)
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.Unmarshal(content, &values); err != nil {
		t.Fatal(err)
	}
	return values
}

func (c renderCase) render(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	loaded, err := chart.Load(c.chart)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := loaded.Render(c.chart, release, namespace, c.values(t))
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestChartsMatchGoldenFiles(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got bytes.Buffer
			for _, object := range c.render(t) {
				if object.GetKind() == "CustomResourceDefinition" || object.GetKind() == "ConfigMap" && c.chart == charts.Operator {
					continue // other tests compare them with their sources
				}
				encoded, err := yaml.Marshal(object.Object)
				if err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&got, "---\n%s", encoded)
			}
			golden := filepath.Join("testdata", c.name+".golden.yaml")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("run `go test ./internal/chart -update` if the difference is intended (-want +got):\n%s", diff)
			}
		})
	}
}

// helm runs the helm command-line tool and returns its output.
func helm(t *testing.T, arguments ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs helm; not part of a -short run")
	}
	program := filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "helm")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("no helm in KUBEBUILDER_ASSETS: run `make assets`, and set it to the folder that it prints: %v", err)
	}
	command := exec.CommandContext(t.Context(), program, arguments...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s%s", strings.Join(arguments, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// checkout returns a copy of the charts in which `helm dependency build` has added the
// library to each. It takes nothing that the command has left in the charts before.
func checkout(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.CopyFS(folder, charts.FS); err != nil {
		t.Fatal(err)
	}
	for _, name := range charts.Names {
		helm(t, "dependency", "build", filepath.Join(folder, name))
	}
	return folder
}

func TestRenderMatchesHelmTemplate(t *testing.T) {
	t.Parallel()
	folder := checkout(t)
	for _, c := range cases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			arguments := []string{"template", release, filepath.Join(folder, c.chart), "--namespace", namespace}
			if c.valuesFile != "" {
				arguments = append(arguments, "--values", c.valuesFile)
			}
			want := map[string]any{}
			for part := range strings.SplitSeq(helm(t, arguments...), "\n---\n") {
				object := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(part), object); err != nil {
					t.Fatal(err)
				}
				want[key(object)] = object.Object
			}
			got := map[string]any{}
			for _, object := range c.render(t) {
				got[key(object)] = object.Object
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("objects (-helm +operator):\n%s", diff)
			}
		})
	}
}

func key(object *unstructured.Unstructured) string {
	return object.GetKind() + "/" + object.GetNamespace() + "/" + object.GetName()
}

func TestHelmLintPasses(t *testing.T) {
	t.Parallel()
	folder := checkout(t)
	for _, c := range cases(t) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			arguments := []string{"lint", "--strict", filepath.Join(folder, c.chart)}
			if c.valuesFile != "" {
				arguments = append(arguments, "--values", c.valuesFile)
			}
			helm(t, arguments...)
		})
	}
}

func TestUnknownValuesAreRejected(t *testing.T) {
	t.Parallel()
	loaded, err := chart.Load(charts.Names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range charts.Names {
		for _, values := range []map[string]any{
			{"replica": 2},
			{"resources": map[string]any{"limit": map[string]any{}}},
			{"serviceAccount": map[string]any{"make": true}},
		} {
			if _, err := loaded.Render(name, release, namespace, values); err == nil || !strings.Contains(err.Error(), "additional properties") {
				t.Errorf("chart %s with %v: error %v, want an error for the unknown key", name, values, err)
			}
		}
	}
}

func TestGatewayValuesOutOfRangeAreRejected(t *testing.T) {
	t.Parallel()
	loaded, err := chart.Load(charts.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	for _, values := range []m{
		{"connections": m{"max": 15}}, {"connections": m{"max": 1000001}},
		{"connections": m{"perAddress": 0}}, {"connections": m{"perAddress": 1000001}}, {"connections": m{"perAddress": nil, "most": 1}},
		{"service": m{"externalTrafficPolicy": "local"}},
		{"tls": m{"secretName": 1}},
		{"httpRoute": m{"parentRefs": []any{m{"namespace": "infra"}}}},
		{"httpRoute": m{"enabled": true}},
	} {
		if _, err := loaded.Render(charts.Gateway, release, namespace, values); err == nil {
			t.Errorf("%v: rendered, want an error", values)
		}
	}
}

// forbidden lists template functions whose result does not depend on the values alone.
var forbidden = []string{"lookup ", "randAlpha", "randNumeric", "randAscii", "randBytes", "uuidv4", "genCA", "genPrivateKey",
	"genSelfSigned", "now ", "now|", "helm.sh/hook", ".Capabilities", "kind: Secret"}

func TestChartsDependOnlyOnTheirValues(t *testing.T) {
	t.Parallel()
	loaded, err := chart.Load(charts.Names...)
	if err != nil {
		t.Fatal(err)
	}
	for name, chart := range loaded {
		files := chart.Raw
		for _, dependency := range chart.Dependencies() {
			files = append(files, dependency.Raw...)
		}
		for _, file := range files {
			if !strings.Contains(file.Name, "templates/") || strings.HasSuffix(file.Name, "NOTES.txt") {
				continue
			}
			for _, word := range forbidden {
				if bytes.Contains(file.Data, []byte(word)) {
					t.Errorf("%s/%s uses %q", name, file.Name, strings.TrimSpace(word))
				}
			}
		}
	}
}

func TestEveryCaseHasItsChart(t *testing.T) {
	t.Parallel()
	for _, c := range cases(t) {
		if !slices.Contains(charts.Names, c.chart) {
			t.Errorf("%s does not begin with the name of a chart", c.valuesFile)
		}
	}
}
