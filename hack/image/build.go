package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/revision"
)

// build builds the binary of a component.
func (c component) build(goTool, root string, from revision.Revision) ([]byte, error) {
	dir, err := os.MkdirTemp("", "ecommerce-image-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	target := filepath.Join(dir, c.name)
	cmd := exec.Command(goTool, "build", "-buildvcs=false", "-trimpath", "-ldflags", from.LinkerFlags(), "-o", target, c.path)
	cmd.Dir = filepath.Join(root, c.module)
	// Dependencies are those of the module's own go.mod, not of go.work.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOWORK=off")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("build %s: %w\n%s", c.name, err, strings.TrimSpace(out.String()))
	}
	return os.ReadFile(target)
}

// pinnedRevision returns the version of a pinned component, also as its commit.
func (c component) pinnedRevision(goTool, root string) (revision.Revision, error) {
	cmd := exec.Command(goTool, "list", "-m", "-f", "{{.Version}}", c.path)
	cmd.Dir, cmd.Env = filepath.Join(root, c.module), append(os.Environ(), "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return revision.Revision{}, fmt.Errorf("find the version of %s: %w\n%s", c.name, err, strings.TrimSpace(stderr.String()))
	}
	version := strings.TrimSpace(string(out))
	return revision.Revision{Version: version, Commit: version}, nil
}

// tag returns the version and a digest of the binaries.
func tag(version string, binaries map[string][]byte) string {
	digest := sha256.New()
	names := make([]string, 0, len(binaries))
	for name := range binaries {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(digest, "%s %x\n", name, sha256.Sum256(binaries[name]))
	}
	return version + "-" + hex.EncodeToString(digest.Sum(nil))[:12]
}

// user runs the binary and owns no file.
const user = "65532"

const passwd = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n"

func (c component) write(path, reference string, binary, certificates []byte, from revision.Revision) error {
	directory := fs.ModeDir | 0o755
	layer, err := archive.NewLayer([]archive.Entry{
		{Name: "etc", Mode: directory},
		{Name: "etc/passwd", Mode: 0o644, Data: []byte(passwd)},
		{Name: "etc/ssl", Mode: directory},
		{Name: "etc/ssl/certs", Mode: directory},
		{Name: strings.TrimPrefix(certificatesFile, "/"), Mode: 0o644, Data: certificates},
		{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Name: c.name, Mode: 0o755, Data: binary},
	})
	if err != nil {
		return err
	}
	return archive.Write(path, archive.Image{
		References: []string{reference},
		Config: v1.Config{
			User:       user + ":" + user,
			Entrypoint: []string{"/" + c.name},
			WorkingDir: "/",
			Labels: map[string]string{
				"org.opencontainers.image.title":    c.title,
				"org.opencontainers.image.version":  from.Version,
				"org.opencontainers.image.revision": from.Commit,
			},
		},
		Layer: layer,
	})
}
