package shop

import (
	"testing"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/usage"
)

func TestCostFiguresPerOrder(t *testing.T) {
	before := cost{
		processes: map[string]usage.Usage{"sales": {CPU: time.Second}},
		counters:  map[string]int64{"Innodb_data_fsyncs": 5},
	}
	after := cost{
		processes: map[string]usage.Usage{"sales": {CPU: 3 * time.Second, Peak: 3 << 20},
			"MariaDB": {CPU: time.Second}, "bench": {CPU: time.Minute}},
		counters: map[string]int64{"Innodb_data_fsyncs": 25},
	}
	got := map[string]float64{}
	for _, f := range after.figures(before, 10) {
		got[f.Name+" "+f.Unit] = f.Value
	}
	for figure, want := range map[string]float64{
		"CPU sales ms/order": 200, "CPU of the system ms/order": 300,
		"fsyncs of InnoDB /order": 2, "peak memory of sales MiB": 3,
	} {
		if v, ok := got[figure]; !ok || v != want {
			t.Errorf("%s: %v (%v), want %v", figure, v, ok, want)
		}
	}
	if f := after.figures(before, 0); f != nil {
		t.Errorf("without an order: %v", f)
	}
}
