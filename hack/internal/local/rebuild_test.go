package local_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/local"
)

// overlay makes `go build` append text to the main package of stock, as if it were saved.
func overlay(t *testing.T, text string) {
	t.Helper()
	source, err := filepath.Abs("../../../services/stock/main.go")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	flag, err := gobuild.WriteOverlay(t.TempDir(), map[string]string{source: string(content) + text})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOFLAGS", "-buildvcs=false "+flag)
}

func TestRebuildRestartsOnlyWhatChanged(t *testing.T) {
	s := startShop(t, 5)
	files, err := local.Sources("../../..", local.Services...)
	if err != nil {
		t.Fatal(err)
	}
	pids := func() map[string]int {
		all := map[string]int{}
		for _, name := range local.Services {
			all[name] = s.PID(name)
		}
		return all
	}
	before := pids()

	overlay(t, "\nfunc init() { missing() }\n")
	if restarted, err := s.Rebuild(t.Context(), files, "stock"); err == nil || !strings.Contains(err.Error(), "undefined: missing") || len(restarted) > 0 {
		t.Errorf("an error of the compiler: restarted %q, %v", restarted, err)
	}
	for name, pid := range pids() {
		if pid != before[name] {
			t.Errorf("%s was restarted without a build", name)
		}
	}
	s.awaitConfirmed(t, s.order(t).ID)

	overlay(t, "\nfunc init() { println(\"changed\") }\n")
	restarted, err := s.Rebuild(t.Context(), files, local.Services...)
	if err != nil || !slices.Equal(restarted, []string{"stock"}) {
		t.Errorf("restarted %q, %v; want stock", restarted, err)
	}
	for name, pid := range pids() {
		if (pid != before[name]) != (name == "stock") {
			t.Errorf("%s had the process %d, and has %d", name, before[name], pid)
		}
	}
	if log, err := os.ReadFile(s.LogFile("stock")); err != nil || !strings.Contains(string(log), "changed\n") {
		t.Errorf("the new program does not run: %v", err)
	}
	var sale client.Sale
	if sale, err = s.Place(t.Context(), s.customer, false, "after", client.Item{ProductID: s.product, Quantity: 1}); err != nil {
		t.Fatal(err)
	}
	s.awaitConfirmed(t, sale.ID)
}
