package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/published"
	"ecommerce-stack.dev/hack/internal/state"
)

// image is a server's image: the one in a registry, and how to build it where no registry is
// available.
type image struct {
	name, version string
	registry      string // reference in a registry
	program       published.Program
	hint          string // duration of the build on two cores
}

// images are the servers that are built from published modules. Their versions are those of
// the references.
var images = map[string]image{
	"prometheus": {
		name: "prometheus", version: "3.16.0", registry: "docker.io/prom/prometheus:v3.16.0", hint: "about 3 minutes the first time",
		program: published.Program{Module: "github.com/prometheus/prometheus@v0.316.0", Package: "./cmd/prometheus",
			// Of the service discoveries only that of Kubernetes: the others take 10 minutes more.
			Flags: []string{"-trimpath", "-tags", "remove_all_sd,enable_kubernetes_sd", "-ldflags",
				"-s -w -X github.com/prometheus/common/version.Version=3.16.0"}},
	},
	"alertmanager": {
		name: "alertmanager", version: "0.35.0", registry: "docker.io/prom/alertmanager:v0.35.0", hint: "about a minute the first time",
		program: published.Program{Module: "github.com/prometheus/alertmanager@v0.35.0", Package: "./cmd/alertmanager",
			Flags: []string{"-trimpath", "-ldflags", "-s -w -X github.com/prometheus/common/version.Version=0.35.0"},
			// Its pages are not published with the module, and it does not compile without any.
			Add: map[string]string{"ui/app/dist/elm/index.html": noPages, "ui/app/dist/mantine/index.html": noPages}},
	},
	"jaeger": {
		name: "jaeger", version: "2.13.0", registry: "docker.io/jaegertracing/jaeger:2.13.0", hint: "about 7 minutes the first time",
		program: published.Program{Module: "github.com/jaegertracing/jaeger@v1.76.0", Package: "./cmd/jaeger",
			Flags: []string{"-trimpath", "-ldflags", "-s -w -X github.com/jaegertracing/jaeger/internal/version.latestVersion=v2.13.0"}},
	},
}

const noPages = "<p>This build has an API and no pages.</p>\n"

// local returns the reference and the archive of the image that is built here. Its tag
// contains a digest of the recipe.
func (i image) local(goVersion, cache string) (reference, file string) {
	recipe := sha256.Sum256(fmt.Appendf(nil, "%s %+v", goVersion, i.program))
	tag := i.version + "-" + hex.EncodeToString(recipe[:])[:12]
	return "localhost/ecommerce-stack/" + i.name + ":" + tag, filepath.Join(cache, "observe", i.name+"-"+tag+".tar")
}

// ensure builds the image into the cache unless it is there, and returns its reference and
// its archive. Concurrent calls, also of other processes, wait for each other. An interrupted
// build leaves no archive.
func (i image) ensure(ctx context.Context, p *progress.Printer, goTool, cache string) (reference, file string, err error) {
	version, err := exec.CommandContext(ctx, goTool, "env", "GOVERSION").Output()
	if err != nil {
		return "", "", fmt.Errorf("%s env GOVERSION: %w", goTool, err)
	}
	reference, file = i.local(strings.TrimSpace(string(version)), cache)
	lock, err := state.Acquire(filepath.Join(cache, "observe", i.name+".lock"), func() {
		p.Printf("  … waiting for another program that is building %s", i.name)
	})
	if err != nil {
		return "", "", err
	}
	defer lock.Close()
	if _, err := os.Stat(file); err == nil {
		return reference, file, nil
	}
	err = p.Run(fmt.Sprintf("Build %s %s (%s)", i.name, i.version, i.hint), func(detail func(string)) error {
		return i.build(ctx, goTool, reference, file, detail)
	})
	return reference, file, err
}

func (i image) build(ctx context.Context, goTool, reference, file string, detail func(string)) error {
	dir, err := os.MkdirTemp("", "observe-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, i.name)
	if err := i.program.Build(ctx, goTool, binary, detail); err != nil {
		return err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	layer, err := archive.NewLayer([]archive.Entry{
		{Name: "tmp", Mode: fs.ModeDir | fs.ModeSticky | 0o777},
		{Name: i.name, Mode: 0o755, Data: content},
	})
	if err != nil {
		return err
	}
	if err := archive.Write(file, archive.Image{
		References: []string{reference},
		Config:     v1.Config{User: "65532:65532", Entrypoint: []string{"/" + i.name}, WorkingDir: "/"},
		Layer:      layer,
	}); err != nil {
		return err
	}
	return removeOthers(file, i.name)
}

// removeOthers removes the archives of earlier versions.
func removeOthers(file, name string) error {
	all, err := filepath.Glob(filepath.Join(filepath.Dir(file), name+"-*.tar"))
	if err != nil {
		return err
	}
	for _, other := range all {
		if other != file {
			if err := os.Remove(other); err != nil {
				return err
			}
		}
	}
	return nil
}
