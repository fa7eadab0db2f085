package debian

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMissingListsAbsentPackages(t *testing.T) {
	got := Missing([]Package{
		{Name: "shell", Has: []string{"sh", "/bin/sh"}},
		{Name: "half", Has: []string{"sh", "/no/such/file"}},
		{Name: "none", Has: []string{"no-such-command-anywhere"}},
	})
	if want := []string{"half", "none"}; !slices.Equal(got, want) {
		t.Errorf("missing %q, want %q", got, want)
	}
}

func TestPolicyFileExistsOnlyDuringInstall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	for _, leftBehind := range []bool{false, true} {
		if leftBehind {
			write(t, path, string(policy))
		}
		allow, err := denyDaemonStarts(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(path); err != nil || info.Mode()&0o111 == 0 {
			t.Errorf("during the install: %v, %v; want an executable file", info, err)
		}
		allow()
		if _, err := os.Stat(path); err == nil {
			t.Errorf("the policy file still exists (left behind before: %v)", leftBehind)
		}
	}
}

func TestExistingPolicyFileIsNotChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	write(t, path, "#!/bin/sh\nexit 0\n")
	allow, err := denyDaemonStarts(path)
	if err != nil {
		t.Fatal(err)
	}
	allow()
	if got, _ := os.ReadFile(path); string(got) != "#!/bin/sh\nexit 0\n" {
		t.Errorf("it now contains %q", got)
	}
}

func TestParseMirrorReturnsDebianMirror(t *testing.T) {
	targets := "Node Source|Node|https://one.example/node/\nDebian|Debian-Security|http://two.example/security/\nDebian|Debian|http://three.example/debian/\n"
	if got, want := parseMirror(targets), "http://three.example/debian/"; got != want {
		t.Errorf("mirror %q, want %q", got, want)
	}
	if got := parseMirror(""); got != "" {
		t.Errorf("mirror %q from no lists, want none", got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
