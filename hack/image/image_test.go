package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/images"
	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/state"
)

// built returns binaries by name, of components of this repository.
func built(t *testing.T, contents map[string]string) []binary {
	t.Helper()
	var all []binary
	for _, c := range components {
		if content, ok := contents[c.name]; ok {
			all = append(all, binary{c, []byte(content), revision.Revision{Version: "1.2.3", Commit: "abc"}})
		}
	}
	if len(all) != len(contents) {
		t.Fatalf("%v has unknown components", contents)
	}
	return all
}

func TestChangeOfOneServiceChangesOnlyItsImage(t *testing.T) {
	out := t.TempDir()
	first, err := write(out, built(t, map[string]string{"auth": "a", "sales": "s", "stock": "t"}), nil)
	if err != nil || len(first) != 3 {
		t.Fatalf("wrote %q, %v; want 3 images", first, err)
	}
	before, err := images.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	changed, err := write(out, built(t, map[string]string{"auth": "a", "sales": "s", "stock": "other"}), nil)
	if err != nil {
		t.Fatal(err)
	}
	after, err := images.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{after.Images["stock"]}; !slices.Equal(changed, want) {
		t.Errorf("changed %q, want %q", changed, want)
	}
	for name, same := range map[string]bool{"auth": true, "sales": true, "stock": false} {
		if (before.Images[name] == after.Images[name]) != same {
			t.Errorf("%s: %q became %q, want the same %v", name, before.Images[name], after.Images[name], same)
		}
		if tag, _ := strings.CutPrefix(after.Images[name], "localhost/ecommerce-stack/"+name+":1.2.3-"); len(tag) != 12 {
			t.Errorf("%s: %q, want the version and 12 digits", name, after.Images[name])
		}
	}
	if changed, err := write(out, built(t, map[string]string{"auth": "a"}), []byte("authorities")); err != nil || len(changed) != 1 {
		t.Errorf("with other authorities %q changed, %v; want auth", changed, err)
	}
}

func TestImageOfOneNameKeepsTheOthers(t *testing.T) {
	out := t.TempDir()
	if _, err := write(out, built(t, map[string]string{"auth": "a", "stock": "t"}), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := write(out, built(t, map[string]string{"stock": "other"}), nil); err != nil {
		t.Fatal(err)
	}
	list, err := images.Read(out)
	if err != nil || len(list.Images) != 2 {
		t.Errorf("listed %v, %v; want auth and stock", list.Images, err)
	}
}

func TestMissingArchiveIsWrittenAgain(t *testing.T) {
	out := t.TempDir()
	for range 2 {
		if changed, err := write(out, built(t, map[string]string{"auth": "a"}), nil); err != nil || len(changed) != 1 {
			t.Errorf("wrote %q, %v; want one image", changed, err)
		}
		if err := os.Remove(filepath.Join(out, "auth.tar")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOnlyKnownImagesAreBuilt(t *testing.T) {
	if selected, err := named([]string{"stock"}); err != nil || len(selected) != 1 || selected[0].name != "stock" {
		t.Errorf("selected %v, %v; want stock", selected, err)
	}
	if selected, err := named(nil); err != nil || len(selected) != len(components) {
		t.Errorf("selected %v, %v; want all", selected, err)
	}
	if _, err := named([]string{"stok"}); err == nil || !strings.Contains(err.Error(), "stock") {
		t.Errorf("%v, want an error with the names", err)
	}
}

// TestBuildReportsEachCompileError builds two components with an error, and looks for both.
func TestBuildReportsEachCompileError(t *testing.T) {
	root := t.TempDir()
	for name, content := range map[string]string{
		"m/go.mod": "module m\n\ngo 1.26\n", "m/go.sum": "", "m/good/main.go": "package main\n\nfunc main() {}\n",
		"m/bad/main.go": "package main\n\nfunc main() { undefined() }\n", "m/worse/main.go": "package main\n\nfunc main() { missing() }\n",
	} {
		if err := state.Write(filepath.Join(root, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all []component
	for _, name := range []string{"good", "bad", "worse"} {
		all = append(all, component{name: name, module: "m", path: "./" + name})
	}
	b := builder{goTool: "go", root: root, out: t.TempDir(), detail: func(string) {}}
	_, err := buildAll(t.Context(), all, b)
	for _, want := range []string{"build bad", "undefined: undefined", "build worse", "undefined: missing"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error with %q", err, want)
		}
	}
	good, err := buildAll(t.Context(), all[:1], b)
	if err != nil || len(good[0].content) == 0 {
		t.Errorf("the component without an error: %v", err)
	}
}

func TestImageTrustsTheAuthoritiesOfMozilla(t *testing.T) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificates()) {
		t.Fatal("no certificate can be read")
	}
	roots := map[string]bool{}
	for rest := certificates(); ; {
		block, more := pem.Decode(rest)
		if block == nil {
			break
		}
		rest = more
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		roots[root.Subject.CommonName] = true
	}
	if len(roots) < 100 || !roots["ISRG Root X1"] {
		t.Errorf("%d authorities, want at least 100 with ISRG Root X1", len(roots))
	}
}

func TestImageRunsAsUser65532(t *testing.T) {
	out := t.TempDir()
	if _, err := write(out, built(t, map[string]string{"auth": "binary"}), []byte("authorities")); err != nil {
		t.Fatal(err)
	}
	listed, err := images.Read(out)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(out, "auth.tar")); err != nil || info.Size() != listed.Sizes["auth"] {
		t.Errorf("the archive is %v, %v; want %d bytes", info, err, listed.Sizes["auth"])
	}
	if references, err := archive.References(filepath.Join(out, "auth.tar")); err != nil || len(references) != 2 ||
		!slices.Contains(references, listed.Images["auth"]) || !slices.Contains(references, "localhost/ecommerce-stack/auth:dev") {
		t.Errorf("the archive has %q, %v; want %q and the tag dev", references, err, listed.Images["auth"])
	}
	image, err := tarball.ImageFromPath(filepath.Join(out, "auth.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Config.User != "65532:65532" || len(file.Config.Entrypoint) != 1 || file.Config.Entrypoint[0] != "/auth" {
		t.Errorf("it runs %q as %q", file.Config.Entrypoint, file.Config.User)
	}
	if layers, err := image.Layers(); err != nil || len(layers) != 1 {
		t.Errorf("%d layers, %v; want one", len(layers), err)
	}
}
