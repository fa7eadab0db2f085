package release

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// TestModulesRequireTheVersion compares the constants with the go.mod files.
func TestModulesRequireTheVersion(t *testing.T) {
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	modules := filepath.Join(root, "hack", "cluster")
	kubernetes := read(t, filepath.Join(modules, "kubernetes", "go.mod"))
	if want := "k8s.io/kubernetes " + Version; !strings.Contains(kubernetes, want) {
		t.Errorf("go.mod does not require %s", want)
	}
	staging := "v0" + strings.TrimPrefix(Version, "v1")
	for _, replaced := range regexp.MustCompile(`(?m)^\s+(k8s\.io/\S+) => k8s\.io/\S+ (\S+)$`).FindAllStringSubmatch(kubernetes, -1) {
		if replaced[2] != staging {
			t.Errorf("%s is replaced by %s, want %s", replaced[1], replaced[2], staging)
		}
	}
	if cluster := read(t, filepath.Join(modules, "go.mod")); !strings.Contains(cluster, "helm.sh/helm/v4 "+helmVersion) {
		t.Errorf("go.mod of the cluster does not require Helm %s", helmVersion)
	}
}

func TestKubernetesVersionSetsLinkerFlags(t *testing.T) {
	flags := kubernetesVersion()
	for _, want := range []string{
		"-X k8s.io/component-base/version.gitVersion=v1.37.2",
		"-X k8s.io/component-base/version.gitMajor=1",
		"-X k8s.io/client-go/pkg/version.gitMinor=37",
	} {
		if !strings.Contains(flags, want) {
			t.Errorf("%q lacks %q", flags, want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestClientsAreThoseOnPath looks for kubectl and helm on PATH: nothing is built then.
func TestClientsAreThoseOnPath(t *testing.T) {
	installed := t.TempDir()
	for _, name := range []string{"kubectl", "helm"} {
		if err := os.WriteFile(filepath.Join(installed, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", installed+string(os.PathListSeparator)+os.Getenv("PATH"))
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	for range 2 { // The second time, the folder itself may be on PATH.
		bin, err := EnsureClients(progress.New(os.Stderr), root, cache)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"kubectl", "helm"} {
			if to, err := os.Readlink(filepath.Join(bin, name)); err != nil || to != filepath.Join(installed, name) {
				t.Errorf("%s is a link to %q, %v; want that on PATH", name, to, err)
			}
		}
		t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
}
