// Command image builds the static binaries of the services, the operator and the
// exporter of MySQL's metrics, and writes each as a container image of one layer:
//
//	go run ./hack/image
//
// The archives are _out/images/<name>.tar, for `docker load`, `ctr images
// import` and `kind load image-archive`; _out/images/images.json has their
// references. Those of this repository share a tag that ends in a digest of their binaries: a
// build of unchanged sources makes the same images and restarts nothing.
package main

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/revision"
	"ecommerce-stack.dev/hack/internal/state"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// component is one image and the main package of its binary.
type component struct {
	name   string
	module string // below the checkout
	path   string // of the package, in its module
	title  string
	// pinned reports whether the program is that of another module, whose version the
	// go.mod of module selects. Its image has a tag of its own, so that a change of the
	// sources does not restart it.
	pinned bool
}

var components = []component{
	{"auth", "services", "./auth", "E-commerce accounts", false},
	{"sales", "services", "./sales", "E-commerce orders", false},
	{"stock", "services", "./stock", "E-commerce catalog and inventory", false},
	{"gateway", "services", "./gateway", "E-commerce API gateway", false},
	{"operator", "operator", "./cmd", "E-commerce operator", false},
	{"mysqld-exporter", "hack/tools", "github.com/prometheus/mysqld_exporter", "Metrics of MySQL", true},
}

type arguments struct {
	Version string `help:"Version of the binaries, such as v1.2.3; by default that of the sources." env:"VERSION"`
}

func main() {
	var args arguments
	ctx := kong.Parse(&args, kong.Name("image"), kong.Description("Build the container images."), kong.UsageOnError())
	if err := ctx.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// Run builds the binaries one after another, then the images.
func (a arguments) Run() error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	goTool, err := workspace.Go(root)
	if err != nil {
		return err
	}
	p := progress.New(os.Stderr)
	revisions, all, err := a.revisions(goTool, root)
	if err != nil {
		return err
	}
	binaries := map[string][]byte{}
	for _, c := range components {
		if err := p.Run("Build "+c.name, func(func(string)) error {
			binaries[c.name], err = c.build(goTool, root, revisions[c.name])
			return err
		}); err != nil {
			return err
		}
	}
	out := filepath.Join(root, "_out", "images")
	written, err := write(out, binaries, certificates(), revisions, all.Version)
	if err != nil {
		return err
	}
	p.Printf("Images %s in %s\nLoad them into the cluster with `go run ./hack/cluster load %s/*.tar`.", written.Tag, out, out)
	return nil
}

// revisions returns the revision of each component by name, and that of all together.
func (a arguments) revisions(goTool, root string) (each map[string]revision.Revision, all revision.Revision, err error) {
	if a.Version != "" {
		if err := revision.CheckVersion(a.Version); err != nil {
			return nil, all, err
		}
	}
	each = map[string]revision.Revision{}
	of := func(files []string) (revision.Revision, error) {
		r, err := revision.Of(root, files)
		if a.Version != "" {
			r.Version = strings.TrimPrefix(a.Version, "v")
		}
		return r, err
	}
	var files []string
	for _, c := range components {
		if c.pinned {
			if each[c.name], err = c.pinnedRevision(goTool, root); err != nil {
				return nil, all, err
			}
			continue
		}
		sources, err := revision.Sources(goTool, filepath.Join(root, c.module), c.path)
		if err != nil {
			return nil, all, err
		}
		if each[c.name], err = of(sources); err != nil {
			return nil, all, err
		}
		files = append(files, sources...)
	}
	all, err = of(files)
	return each, all, err
}

const certificatesFile = "/etc/ssl/certs/ca-certificates.crt"

// certificates returns the certification authorities that Mozilla trusts, in PEM. Those that it
// trusts with a constraint are left out: a file cannot express it.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // to memory
		}
	}
	return out.Bytes()
}

// summary is the content of images.json.
type summary struct {
	Tag    string            `json:"tag"`
	Images map[string]string `json:"images"` // references by name
	Sizes  map[string]int64  `json:"sizes"`  // bytes of the archives
}

func write(out string, binaries map[string][]byte, certificates []byte, revisions map[string]revision.Revision, version string) (summary, error) {
	shared := maps.Clone(binaries)
	for _, c := range components {
		if c.pinned {
			delete(shared, c.name)
		}
	}
	result := summary{Tag: tag(version, shared), Images: map[string]string{}, Sizes: map[string]int64{}}
	for _, c := range components {
		reference := "localhost/ecommerce-stack/" + c.name + ":" + result.Tag
		if c.pinned {
			reference = "localhost/ecommerce-stack/" + c.name + ":" + tag(revisions[c.name].Version, map[string][]byte{c.name: binaries[c.name]})
		}
		path := filepath.Join(out, c.name+".tar")
		if err := c.write(path, reference, binaries[c.name], certificates, revisions[c.name]); err != nil {
			return summary{}, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return summary{}, err
		}
		result.Images[c.name], result.Sizes[c.name] = reference, info.Size()
	}
	return result, state.WriteJSON(filepath.Join(out, "images.json"), result)
}
