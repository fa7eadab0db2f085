package architecture_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/architecture"
)

// modules returns the folders of the modules of the workspace.
func modules(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("go", "work", "edit", "-json", "../../../go.work").Output()
	if err != nil {
		t.Fatal(err)
	}
	var work struct{ Use []struct{ DiskPath string } }
	if err := json.Unmarshal(out, &work); err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, u := range work.Use {
		folders = append(folders, filepath.Join("../../..", u.DiskPath))
	}
	return folders
}

// list returns the packages of a module without go.work.
func list(t *testing.T, folder string) []architecture.Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-mod=readonly", "-json=ImportPath,Name,Imports", "./...")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("module %s does not build without go.work: %v\n%s", folder, err, stderr.String())
	}
	var packages []architecture.Package
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p architecture.Package
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestImportsFollowTheRules(t *testing.T) {
	t.Parallel()
	total := 0
	for _, folder := range modules(t) {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			packages := list(t, folder)
			total += len(packages)
			for _, v := range architecture.Violations(packages) {
				t.Error(v)
			}
		})
	}
	if total < 20 {
		t.Errorf("read %d packages, which are not all", total)
	}
}

func TestViolationsAreFound(t *testing.T) {
	t.Parallel()
	const root = architecture.Root
	for name, p := range map[string]architecture.Package{
		"domain imports SQL":             {ImportPath: root + "services/sales/internal/sale", Imports: []string{"gorm.io/gorm"}},
		"domain imports HTTP":            {ImportPath: root + "services/sales/internal/sale", Imports: []string{"net/http"}},
		"domain imports its adapter":     {ImportPath: root + "services/sales/internal/sale", Imports: []string{root + "services/sales/internal/mysql"}},
		"adapter imports an adapter":     {ImportPath: root + "services/sales/internal/httpapi", Imports: []string{root + "services/sales/internal/mysql"}},
		"service imports another":        {ImportPath: root + "services/sales", Imports: []string{root + "services/stock/internal/inventory"}},
		"plumbing imports a service":     {ImportPath: root + "services/internal/broker", Imports: []string{root + "services/stock/internal/inventory"}},
		"operator imports services":      {ImportPath: root + "operator/internal/mysql", Imports: []string{root + "services/internal/database"}},
		"services import the operator":   {ImportPath: root + "services/sales", Imports: []string{root + "operator/api/v1alpha1"}},
		"vocabulary imports plumbing":    {ImportPath: root + "services/event", Imports: []string{root + "services/internal/money"}},
		"types import the controller":    {ImportPath: root + "operator/api/v1alpha1", Imports: []string{root + "operator/internal/controller"}},
		"a package is called utils":      {ImportPath: root + "services/internal/utils", Name: "utils"},
		"the charts import the operator": {ImportPath: root + "charts", Imports: []string{root + "operator/internal/chart"}},
	} {
		if got := architecture.Violations([]architecture.Package{p}); len(got) != 1 {
			t.Errorf("%s: got %v, want one violation", name, got)
		}
	}
	fine := []architecture.Package{
		{ImportPath: root + "services/sales", Name: "main", Imports: []string{root + "services/sales/internal/mysql", "net/http"}},
		{ImportPath: root + "services/sales/internal/sale", Name: "sale", Imports: []string{root + "services/event", root + "services/internal/money"}},
		{ImportPath: root + "services/gateway/internal/proxy", Name: "proxy", Imports: []string{"net/http"}},
		{ImportPath: root + "operator/internal/rabbitmq", Name: "rabbitmq", Imports: []string{root + "services/event"}},
	}
	if got := architecture.Violations(fine); len(got) != 0 {
		t.Errorf("allowed imports are rejected: %v", got)
	}
}
