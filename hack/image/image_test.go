package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/state"
)

func TestTagDependsOnContent(t *testing.T) {
	one := map[string][]byte{"auth": []byte("a"), "sales": []byte("s")}
	same := map[string][]byte{"sales": []byte("s"), "auth": []byte("a")}
	swapped := map[string][]byte{"auth": []byte("s"), "sales": []byte("a")}
	if tag("dev", one) != tag("dev", same) {
		t.Error("the same binaries have two tags")
	}
	if tag("dev", one) == tag("dev", swapped) {
		t.Error("other binaries have the same tag")
	}
	if got := tag("1.2.3", one); !strings.HasPrefix(got, "1.2.3-") || len(got) != len("1.2.3-")+12 {
		t.Errorf("tag %q, want 1.2.3- and 12 digits", got)
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
	written, err := write(out, map[string][]byte{"auth": []byte("binary")}, []byte("authorities"), nil, "dev")
	if err != nil {
		t.Fatal(err)
	}
	var listed summary
	if err := state.ReadJSON(filepath.Join(out, "images.json"), &listed); err != nil {
		t.Fatal(err)
	}
	if want := "localhost/ecommerce-stack/auth:" + written.Tag; listed.Images["auth"] != want {
		t.Errorf("listed %q, want %q", listed.Images["auth"], want)
	}
	if info, err := os.Stat(filepath.Join(out, "auth.tar")); err != nil || info.Size() != listed.Sizes["auth"] {
		t.Errorf("the archive is %v, %v; want %d bytes", info, err, listed.Sizes["auth"])
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

func TestPinnedImageKeepsItsTagWhenSourcesChange(t *testing.T) {
	revisions := map[string]revision.Revision{"mysqld-exporter": {Version: "v0.19.0"}}
	var references, tags []string
	for _, auth := range []string{"a", "b"} {
		written, err := write(t.TempDir(), map[string][]byte{"auth": []byte(auth), "mysqld-exporter": []byte("e")}, nil, revisions, "dev")
		if err != nil {
			t.Fatal(err)
		}
		references, tags = append(references, written.Images["mysqld-exporter"]), append(tags, written.Tag)
	}
	if references[0] != references[1] || !strings.Contains(references[0], ":v0.19.0-") || tags[0] == tags[1] {
		t.Errorf("images %q with the tags %q of the sources, want the same image with two tags", references, tags)
	}
}
