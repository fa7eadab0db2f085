package chart

import (
	"testing"

	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/charts"
)

func TestEveryChartRenders(t *testing.T) {
	c, err := Load(charts.Names...)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range charts.Names {
		objects, err := c.Render(name, "demo", "shop", nil)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, o := range objects {
			if o.GetKind() == "CustomResourceDefinition" {
				continue
			}
			b, _ := yaml.Marshal(o.Object)
			t.Logf("\n# %s\n%s", name, b)
		}
	}
}
