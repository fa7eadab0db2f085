package chart_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/internal/chart"
)

// TestEnvReplacesEachVariableOfTheChart overrides every variable that a chart sets: the API
// server refuses a Deployment with two of one name.
func TestEnvReplacesEachVariableOfTheChart(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for _, name := range []string{charts.Auth, charts.Sales, charts.Stock, charts.Gateway} {
		loaded, err := chart.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		environment := func(env m) []corev1.EnvVar {
			objects, err := loaded.Render(name, release, namespace, m{"env": env, "tracing": m{"endpoint": "http://collector:4318"}})
			if err != nil {
				t.Fatal(err)
			}
			for _, object := range objects {
				if spec, found := podSpec(t, object); found {
					return spec.Containers[0].Env
				}
			}
			t.Fatalf("%s: no pod", name)
			return nil
		}
		own := environment(nil)
		overrides := m{"ADDED": "added"}
		for _, variable := range own {
			overrides[variable.Name] = "7"
		}
		got := environment(overrides)
		if len(own) < 10 || len(got) != len(own)+1 {
			t.Errorf("%s: %d variables of the chart, %d with one that is added", name, len(own), len(got))
		}
		for i, variable := range got {
			want := corev1.EnvVar{Name: "ADDED", Value: "added"}
			if i < len(own) {
				want = corev1.EnvVar{Name: own[i].Name, Value: "7"}
			}
			if variable != want {
				t.Errorf("%s: variable %d is %+v, want %+v", name, i, variable, want)
			}
		}
	}
}
