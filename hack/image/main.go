// Command image builds the static binaries of the services, the operator and the
// exporter of MySQL's metrics, and writes each as a container image of one layer:
//
//	go run ./hack/image
//	go run ./hack/image --only stock
//
// The archives are _out/images/<name>.tar, for `docker load`, `ctr images
// import` and `kind load image-archive`; _out/images/images.json has their
// references. The tag of an image ends in a digest of its content: a change of one service
// changes the tag of its image only, and a build of unchanged sources restarts nothing.
package main

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/crypto/x509roots/fallback/bundle"

	"ecommerce-stack.dev/hack/internal/images"
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
	// go.mod of module selects.
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
	Version string   `help:"Version of the binaries, such as v1.2.3; by default that of the sources." env:"VERSION"`
	Only    []string `help:"Build only these images, such as stock." placeholder:"NAME"`
}

func main() {
	var args arguments
	kong.Parse(&args, kong.Name("image"), kong.Description("Build the container images."), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := args.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// run builds the binaries, and writes the images if all succeed.
func (a arguments) run(ctx context.Context) error {
	selected, err := named(a.Only)
	if err != nil {
		return err
	}
	if a.Version != "" {
		if err := revision.CheckVersion(a.Version); err != nil {
			return err
		}
	}
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	goTool, err := workspace.Go(root)
	if err != nil {
		return err
	}
	p := progress.New(os.Stderr)
	out := images.Dir(root)
	lock, err := state.Acquire(filepath.Join(out, "lock"), func() { p.Printf("Waiting for another build of images.") })
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := removeStale(out); err != nil {
		return err
	}
	var built []binary
	if err := p.Run("Build "+strings.Join(names(selected), ", "), func(detail func(string)) error {
		built, err = buildAll(ctx, selected, builder{goTool: goTool, root: root, out: out, version: a.Version, detail: detail})
		return err
	}); err != nil {
		return err
	}
	changed, err := write(out, built, certificates())
	if err != nil {
		return err
	}
	if len(changed) == 0 {
		p.Printf("The images are up to date.")
		return nil
	}
	p.Printf("Changed images in %s: %s", out, strings.Join(changed, ", "))
	return nil
}

// named returns the components with the names, or all without names.
func named(only []string) ([]component, error) {
	for _, name := range only {
		if !slices.Contains(names(components), name) {
			return nil, fmt.Errorf("--only %s: there is no such image, but %s", name, strings.Join(names(components), ", "))
		}
	}
	if len(only) == 0 {
		return components, nil
	}
	var selected []component
	for _, c := range components {
		if slices.Contains(only, c.name) {
			selected = append(selected, c)
		}
	}
	return selected, nil
}

func names(all []component) []string {
	var list []string
	for _, c := range all {
		list = append(list, c.name)
	}
	return list
}

// buildAll builds the binaries, as many at the same time as there are processors. The error
// joins those of all components that failed.
func buildAll(ctx context.Context, selected []component, b builder) ([]binary, error) {
	sources, err := b.sources(selected)
	if err != nil {
		return nil, err
	}
	built, errs := make([]binary, len(selected)), make([]error, len(selected))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var builds sync.WaitGroup
	for i, c := range selected {
		builds.Go(func() {
			slots <- struct{}{}
			built[i], errs[i] = b.build(ctx, c, sources[c.name])
			<-slots
		})
	}
	builds.Wait()
	return built, errors.Join(errs...)
}

// removeStale removes the temporary folders of builds that were killed.
func removeStale(out string) error {
	stale, err := filepath.Glob(filepath.Join(out, temporaryPrefix+"*"))
	if err != nil {
		return err
	}
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
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

// write writes the images that changed to the folder out, and then the list of all images. It
// returns the references of those that changed.
func write(out string, built []binary, certificates []byte) (changed []string, err error) {
	list, err := images.Read(out)
	if err != nil {
		return nil, err
	}
	for _, b := range built {
		reference, path := b.reference(certificates), filepath.Join(out, b.name+".tar")
		if info, err := os.Stat(path); err == nil && list.Images[b.name] == reference && list.Sizes[b.name] == info.Size() {
			continue
		}
		if err := b.write(path, reference, certificates); err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		list.Images[b.name], list.Sizes[b.name] = reference, info.Size()
		changed = append(changed, reference)
	}
	return changed, list.Write(out)
}
