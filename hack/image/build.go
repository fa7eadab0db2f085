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
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ecommerce-stack.dev/hack/internal/archive"
)

// stamp is the version of the binaries.
type stamp struct{ version, commit string }

// buildinfo is the package with the version of the services; that of the operator is in main.
const buildinfo = "ecommerce-stack.dev/services/internal/buildinfo"

// release matches tags that are versions.
var release = regexp.MustCompile(`^v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)

// stampOf returns version and commit from git. Binaries that are not of a release have no
// commit: otherwise each commit, also one of a README, would change the images and restart
// every pod.
func stampOf(root, version string) (stamp, error) {
	commit, err := git(root, "rev-parse", "HEAD")
	if err != nil {
		commit = "unknown" // an export without git
	}
	if version == "" {
		version = "dev"
		if described, err := git(root, "describe", "--tags", "--exact-match"); err == nil && release.MatchString(described) {
			version = described
		}
	}
	if !release.MatchString(version) && version != "dev" {
		return stamp{}, fmt.Errorf("%q is not a version such as v1.2.3", version)
	}
	if version == "dev" {
		commit = "dev"
	}
	return stamp{version: strings.TrimPrefix(version, "v"), commit: commit}, nil
}

func git(root string, args ...string) (string, error) {
	out, err := exec.Command("git", append([]string{"-C", root}, args...)...).Output()
	return strings.TrimSpace(string(out)), err
}

// build builds the binary of a component.
func (c component) build(goTool, root string, stamp stamp) ([]byte, error) {
	dir, err := os.MkdirTemp("", "ecommerce-image-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	target := filepath.Join(dir, c.name)
	ldflags := fmt.Sprintf("-s -w -X main.version=%[1]s -X main.commit=%[2]s -X %[3]s.Version=%[1]s -X %[3]s.Commit=%[2]s",
		stamp.version, stamp.commit, buildinfo)
	cmd := exec.Command(goTool, "build", "-buildvcs=false", "-trimpath", "-ldflags", ldflags, "-o", target, c.path)
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

func (c component) write(path, reference string, binary, certificates []byte, stamp stamp) error {
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
				"org.opencontainers.image.version":  stamp.version,
				"org.opencontainers.image.revision": stamp.commit,
			},
		},
		Layer: layer,
	})
}
