package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/images"
	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/state"
)

// builder builds binaries in the folder out.
type builder struct {
	goTool, root, out string
	version           string // instead of that of the sources, if not ""
	// detail reports the progress of a build. It may be called concurrently.
	detail func(string)
}

// temporaryPrefix is that of the folders in which the Go tool links.
const temporaryPrefix = ".build-"

// binary is a built component.
type binary struct {
	component
	content []byte
	from    revision.Revision
}

// build builds the binary of a component from sources, or returns that of an earlier build from
// equal sources.
func (b builder) build(ctx context.Context, c component, sources []string) (binary, error) {
	from, err := b.revision(c, sources)
	if err != nil {
		return binary{}, err
	}
	key, err := b.key(c, sources, from)
	if err != nil {
		return binary{}, err
	}
	target := filepath.Join(b.out, "bin", c.name)
	if last, err := os.ReadFile(target + ".key"); err == nil && string(last) == key {
		if content, err := os.ReadFile(target); err == nil {
			return binary{c, content, from}, nil
		}
	}
	if err := os.Remove(target + ".key"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return binary{}, err
	}
	if err := b.link(ctx, c, target, from); err != nil {
		return binary{}, err
	}
	content, err := os.ReadFile(target)
	if err != nil {
		return binary{}, err
	}
	return binary{c, content, from}, state.Write(target+".key", []byte(key), 0o600)
}

// key returns a digest of all that determines a binary: its sources, which include go.sum, the
// flags, and the toolchain.
func (b builder) key(c component, sources []string, from revision.Revision) (string, error) {
	digest := sha256.New()
	environment, err := exec.Command(b.goTool, "env", "GOVERSION", "GOFLAGS", "GOARCH", "GOEXPERIMENT").Output()
	if err != nil {
		return "", fmt.Errorf("%s env: %w", b.goTool, err)
	}
	fmt.Fprintf(digest, "%s\n%s\n%s\n", environment, from.LinkerFlags(), c.path)
	for _, file := range sources {
		content, err := os.ReadFile(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // a module without dependencies has no go.sum
			return "", err
		}
		fmt.Fprintf(digest, "%s %x\n", file, sha256.Sum256(content))
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func (b builder) link(ctx context.Context, c component, target string, from revision.Revision) error {
	// The Go tool replaces the file atomically if its temporary folder is on the same file
	// system. A kill then leaves no part of a file that has the build ID of the whole.
	temporary, err := os.MkdirTemp(b.out, temporaryPrefix+"*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	build := gobuild.Build{
		Go: b.goTool, Dir: filepath.Join(b.root, c.module),
		// Dependencies are those of the module's own go.mod, not of go.work.
		Env:   []string{"CGO_ENABLED=0", "GOOS=linux", "GOWORK=off", "GOTMPDIR=" + temporary},
		Flags: []string{"-trimpath", "-ldflags", from.LinkerFlags()}, Output: target, Packages: []string{c.path},
	}
	if err := build.Run(ctx, func(detail string) { b.detail(c.name + ": " + detail) }); err != nil {
		return fmt.Errorf("build %s: %w", c.name, err)
	}
	return nil
}

// sources returns the source files of components by name, of a pinned one the go.mod and go.sum
// that select it.
func (b builder) sources(selected []component) (map[string][]string, error) {
	all, packages := map[string][]string{}, map[string][]string{}
	for _, c := range selected {
		if c.pinned {
			all[c.name] = []string{filepath.Join(b.root, c.module, "go.mod"), filepath.Join(b.root, c.module, "go.sum")}
		} else {
			packages[c.module] = append(packages[c.module], c.path)
		}
	}
	for module, paths := range packages {
		found, err := revision.SourcesByPackage(b.goTool, filepath.Join(b.root, module), paths...)
		if err != nil {
			return nil, err
		}
		for _, c := range selected {
			if !c.pinned && c.module == module {
				all[c.name] = found[c.path]
			}
		}
	}
	return all, nil
}

// revision returns that of the component's sources, or of the module of a pinned one.
func (b builder) revision(c component, sources []string) (revision.Revision, error) {
	if c.pinned {
		return b.pinnedRevision(c)
	}
	from, err := revision.Of(b.root, sources)
	if b.version != "" {
		from.Version = strings.TrimPrefix(b.version, "v")
	}
	return from, err
}

// pinnedRevision returns the version of a pinned component, also as its commit.
func (b builder) pinnedRevision(c component) (revision.Revision, error) {
	cmd := exec.Command(b.goTool, "list", "-m", "-f", "{{.Version}}", c.path)
	cmd.Dir, cmd.Env = filepath.Join(b.root, c.module), append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return revision.Revision{}, fmt.Errorf("find the version of %s: %w\n%s", c.name, err, strings.TrimSpace(stderr.String()))
	}
	version := strings.TrimSpace(string(out))
	return revision.Revision{Version: version, Commit: version}, nil
}

// repository precedes the names of the images.
const repository = "localhost/ecommerce-stack/"

// reference returns the reference of the image. Its tag is the version and a digest of the content.
func (b binary) reference(certificates []byte) string {
	digest := sha256.New()
	for _, part := range [][]byte{b.content, certificates} {
		fmt.Fprintf(digest, "%x\n", sha256.Sum256(part))
	}
	return repository + b.name + ":" + b.from.Version + "-" + hex.EncodeToString(digest.Sum(nil))[:12]
}

// user runs the binary and owns no file.
const user = "65532"

const passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"

func (b binary) write(path, reference string, certificates []byte) error {
	directory := fs.ModeDir | 0o755
	layer, err := archive.NewLayer([]archive.Entry{
		{Name: "etc", Mode: directory},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Name: "etc/ssl", Mode: directory},
		{Name: "etc/ssl/certs", Mode: directory},
		{Name: strings.TrimPrefix(certificatesFile, "/"), Mode: 0o644, Data: certificates},
		{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Name: b.name, Mode: 0o755, Data: b.content},
	})
	if err != nil {
		return err
	}
	return archive.Write(path, archive.Image{
		References: []string{reference, repository + b.name + ":" + images.LastBuilt},
		Config: v1.Config{
			User:       user + ":" + user,
			Entrypoint: []string{"/" + b.name},
			WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":    b.title,
				"org.opencontainers.image.version":  b.from.Version,
				"org.opencontainers.image.revision": b.from.Commit,
			},
		},
		Layer: layer,
	})
}
