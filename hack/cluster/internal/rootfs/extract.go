package rootfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"ecommerce-stack.dev/hack/internal/state"
)

// serverFiles are the patterns of the files that MySQL's server needs: the program, the libraries with
// their loader, and its messages. Folders match with all that they contain.
var serverFiles = []string{"usr/sbin/mysqld", "usr/lib/*-linux-gnu/*.so*", "usr/lib/mysql/plugin", "usr/share/mysql"}

// launcher is a script that runs the server on a machine with other libraries.
const launcher = `#!/bin/sh
root=$(dirname "$(readlink -f "$0")")
lib=$(echo "$root"/usr/lib/*-linux-gnu)
exec "$lib"/ld-linux*.so.* --library-path "$lib" "$root/usr/sbin/mysqld" "$@" --basedir="$root/usr" --plugin-dir="$root/usr/lib/mysql/plugin"
`

// ExtractMySQL extracts the server from the image of MySQL in the cache, unless that was done before,
// and returns the path of a program with the arguments of mysqld. It needs no root privileges.
func ExtractMySQL(cache string) (string, error) {
	recipe := MySQL[0]
	folder := filepath.Join(cache, "mysqld", recipe.Digest())
	program := filepath.Join(folder, "mysqld")
	if _, err := os.Stat(recipe.Archive(cache)); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("find the image of MySQL: %w\nRun `PROVIDER=bare make up` once, as root on Debian, which builds it. If it uses MariaDB instead, Debian's MySQL cannot be installed at the moment", err)
	}
	lock, err := state.Acquire(filepath.Join(cache, "mysqld.lock"), func() {})
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	// Earlier recipes, and an extraction that was interrupted.
	if err := os.RemoveAll(filepath.Dir(folder)); err != nil {
		return "", err
	}
	if err := extract(recipe.Archive(cache), folder, serverFiles); err != nil {
		return "", fmt.Errorf("extract MySQL from %s: %w", recipe.Archive(cache), err)
	}
	return program, state.Write(program, []byte(launcher), 0o755)
}

// extract extracts the files of a docker-archive of one layer that match patterns of path.Match.
func extract(archive, folder string, patterns []string) error {
	image, err := tarball.ImageFromPath(archive, nil)
	if err != nil {
		return err
	}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			return err
		}
		err = extractLayer(root, content, patterns)
		if err := errors.Join(err, content.Close()); err != nil {
			return err
		}
	}
	return nil
}

func extractLayer(root *os.Root, layer io.Reader, patterns []string) error {
	files := tar.NewReader(layer)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name := path.Clean(header.Name)
		if !slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, name) }) {
			continue
		}
		if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeSymlink:
			err = root.Symlink(header.Linkname, name)
		case tar.TypeLink:
			err = root.Link(path.Clean(header.Linkname), name)
		case tar.TypeReg:
			err = extractFile(root, name, header.FileInfo().Mode().Perm(), files)
		}
		if err != nil {
			return err
		}
	}
}

func extractFile(root *os.Root, name string, mode fs.FileMode, content io.Reader) error {
	file, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}

// matches reports whether a pattern matches a name or one of its folders.
func matches(pattern, name string) bool {
	for ; name != "." && name != "/"; name = path.Dir(name) {
		if ok, err := path.Match(pattern, name); err == nil && ok {
			return true
		}
	}
	return false
}
