// Package archive writes container images of one layer as docker-archives, the
// files that `docker load`, `ctr images import` and `kind load image-archive`
// read.
package archive

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// epoch is the timestamp of an image and its files, so that equal content
// produces equal images.
var epoch = time.Unix(0, 0).UTC()

// Image describes an image: its names, its configuration and its only layer.
type Image struct {
	References []string // such as localhost/ecommerce-stack/auth:1.2.3
	Config     v1.Config
	// Layer opens the layer, an uncompressed tar. Write calls it more than once.
	Layer func() (io.ReadCloser, error)
}

// Write writes the docker-archive of the image to path, atomically. Layers are
// not compressed, because the archives stay on this machine.
func Write(path string, image Image) error {
	layer, err := tarball.LayerFromOpener(image.Layer, tarball.WithCompressionLevel(gzip.NoCompression))
	if err != nil {
		return fmt.Errorf("read the layer of %s: %w", image.References[0], err)
	}
	img, err := mutate.Append(empty.Image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "ecommerce-stack"}})
	if err != nil {
		return err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return err
	}
	file = file.DeepCopy()
	file.Architecture, file.OS = runtime.GOARCH, "linux"
	file.Created = v1.Time{Time: epoch}
	file.Config = image.Config
	if img, err = mutate.ConfigFile(img, file); err != nil {
		return err
	}
	images := map[name.Tag]v1.Image{}
	for _, reference := range image.References {
		tag, err := name.NewTag(reference)
		if err != nil {
			return err
		}
		images[tag] = img
	}
	return write(path, images)
}

func write(path string, images map[name.Tag]v1.Image) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := path + ".new"
	defer os.Remove(temporary)
	if err := tarball.MultiWriteToFile(temporary, images); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(temporary, path)
}

// Entry is a file of a layer, or a folder if its mode has fs.ModeDir.
type Entry struct {
	Name string // without a leading slash
	Mode fs.FileMode
	Data []byte
}

// NewLayer returns a function that opens a layer with the entries, owned by root.
func NewLayer(entries []Entry) (func() (io.ReadCloser, error), error) {
	var layer bytes.Buffer
	out := tar.NewWriter(&layer)
	for _, entry := range entries {
		header := &tar.Header{Name: entry.Name, Typeflag: tar.TypeReg, Mode: int64(entry.Mode.Perm()), Size: int64(len(entry.Data)), ModTime: epoch, Format: tar.FormatPAX}
		if entry.Mode.IsDir() {
			header.Typeflag, header.Name = tar.TypeDir, entry.Name+"/"
		}
		if entry.Mode&fs.ModeSticky != 0 {
			header.Mode |= 0o1000
		}
		if err := out.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("layer entry %s: %w", entry.Name, err)
		}
		if _, err := out.Write(entry.Data); err != nil {
			return nil, fmt.Errorf("layer entry %s: %w", entry.Name, err)
		}
	}
	if err := out.Close(); err != nil {
		return nil, err
	}
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil }, nil
}

// References returns the references of the images in a docker-archive.
func References(path string) ([]string, error) {
	manifest, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(path) })
	if err != nil {
		return nil, fmt.Errorf("read %s as a docker-archive: %w", path, err)
	}
	var references []string
	for _, image := range manifest {
		references = append(references, image.RepoTags...)
	}
	return references, nil
}
