//go:build nightly

package e2e

import (
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestDashboardsAreDrawn draws each dashboard with Grafana's components and the data of a
// Prometheus that scrapes the store. `make nightly` runs it, because npm takes minutes to install
// the components.
func TestDashboardsAreDrawn(t *testing.T) {
	began := startServers(t)
	s := newShop(t)
	s.useEveryPart(t)
	eventually(t, time.Minute, func() (bool, any) {
		err := hasData(t, "sum(rate(ecommerce_sales_decided_total[20s]))", began)
		return err == nil, err
	})
	const port = "19090"
	forward := exec.CommandContext(t.Context(), "kubectl", "--namespace", "observability", "port-forward", "service/prometheus", port+":9090")
	if err := forward.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = forward.Wait() }) // It ends with the context.
	out := t.TempDir()
	render := exec.CommandContext(t.Context(), "go", "run", "./hack/dashboards", "render", "--prometheus=http://localhost:"+port, "--out="+out,
		fmt.Sprintf("--range=%s", time.Since(began).Round(time.Second)), "--rate=20s")
	render.Dir = "../.."
	if output, err := render.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	dashboards, err := filepath.Glob(filepath.Join("..", "..", "config", "grafana", "*.json"))
	if err != nil || len(dashboards) == 0 {
		t.Fatalf("%d dashboards, %v", len(dashboards), err)
	}
	for _, dashboard := range dashboards {
		name := filepath.Base(dashboard[:len(dashboard)-len(".json")])
		file, err := os.Open(filepath.Join(out, name+".png"))
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := png.Decode(file); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		file.Close()
	}
}
