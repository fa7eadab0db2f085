package archive

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestEqualContentProducesEqualArchives(t *testing.T) {
	dir := t.TempDir()
	var archives [2][]byte
	for i := range archives {
		path := filepath.Join(dir, "image.tar")
		if err := Write(path, sample(t)); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives[i] = data
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two archives of the same content differ")
	}
}

func TestArchiveContainsReferencesAndConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	want := sample(t)
	if err := Write(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := References(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.References, got); diff != "" {
		t.Errorf("references (-want +got):\n%s", diff)
	}
	image, err := tarball.ImageFromPath(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Config, config.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestReferencesRejectsOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(path, []byte("no archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := References(path); err == nil {
		t.Error("no error")
	}
}

func sample(t *testing.T) Image {
	t.Helper()
	layer, err := NewLayer([]Entry{
		{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Name: "sample", Mode: 0o755, Data: []byte("program")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return Image{
		References: []string{"localhost/ecommerce-stack/sample:1"},
		Config:     v1.Config{User: "65532:65532", Entrypoint: []string{"/sample"}},
		Layer:      layer,
	}
}
