// Package release builds the programs of the pinned Kubernetes release from the
// modules in hack/cluster and stores them in the cache. The cluster and the
// operator's tests (as KUBEBUILDER_ASSETS) use them.
package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/state"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// Version is the Kubernetes release; hack/cluster/kubernetes/go.mod pins its modules.
const Version = "v1.37.2"

const helmVersion = "v4.3.1"

// Names are the names of the programs that are links to the one Kubernetes binary.
var Names = []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"}

// program describes the build of a program.
type program struct {
	name    string
	dir     string // of its module, relative to hack/cluster
	path    string // of its package
	ldflags string
	hint    string // the duration of the first build on two cores
}

var programs = []program{
	{name: "kubernetes", dir: "kubernetes", path: ".", ldflags: kubernetesVersion(), hint: "about 8 minutes the first time"},
	{name: "pause", dir: ".", path: "./pause"},
	{name: "coredns", dir: ".", path: "./coredns"},
	helm,
}

var helm = program{name: "helm", dir: ".", path: "helm.sh/helm/v4/cmd/helm", ldflags: "-X helm.sh/helm/v4/internal/version.version=" + helmVersion}

// kubernetesVersion returns the linker flags that set the version that `kubectl
// version` and discovery report. The default is v0.0.0, which clients handle as an
// old server.
func kubernetesVersion() string {
	major, minor, _ := strings.Cut(strings.TrimPrefix(Version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	var flags []string
	for _, at := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		for name, value := range map[string]string{"gitVersion": Version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"} {
			flags = append(flags, fmt.Sprintf("-X %s.%s=%s", at, name, value))
		}
	}
	slices.Sort(flags)
	return strings.Join(flags, " ")
}

// Etcd is the package of the API server's database. It is not built, because
// Debian's version is recent enough.
var Etcd = debian.Package{Name: "etcd-server", Has: []string{"etcd"}}

// Ensure builds the programs that are missing or out of date and returns their
// folder. Concurrent calls, also of other processes, wait for each other. An
// interrupted build leaves the previous program in place.
func Ensure(p *progress.Printer, root, cache string) (string, error) {
	bin := filepath.Join(cache, "kubernetes", Version, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	lock, err := acquire(p, filepath.Join(filepath.Dir(bin), "lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()

	goTool, err := workspace.Go(root)
	if err != nil {
		return "", err
	}
	for _, program := range programs {
		if err := program.ensure(p, goTool, filepath.Join(root, "hack", "cluster"), bin); err != nil {
			return "", err
		}
	}
	for _, name := range Names {
		if err := ensureSymlink("kubernetes", filepath.Join(bin, name)); err != nil {
			return "", err
		}
	}
	return bin, ensureEtcd(p, bin)
}

// acquire locks the folder of programs, and says so when another program is building them.
func acquire(p *progress.Printer, path string) (*state.Lock, error) {
	return state.Acquire(path, func() { p.Printf("  … waiting for another program that is building Kubernetes or its clients") })
}

// clients are the programs that a cluster of another provider needs. kubectl is that of the
// release, built alone.
var clients = []program{
	{name: "kubectl", dir: "kubernetes", path: "k8s.io/kubernetes/cmd/kubectl", ldflags: kubernetesVersion(), hint: "about two minutes the first time"},
	helm,
}

// EnsureClients returns a folder with kubectl and helm: links to those on PATH, and the others
// built from their modules. It needs nothing that is particular to Debian.
func EnsureClients(p *progress.Printer, root, cache string) (string, error) {
	bin := filepath.Join(cache, "clients", Version)
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	lock, err := acquire(p, filepath.Join(bin, ".lock"))
	if err != nil {
		return "", err
	}
	defer lock.Close()
	goTool, err := workspace.Go(root)
	if err != nil {
		return "", err
	}
	for _, program := range clients {
		link := filepath.Join(bin, program.name)
		if to, err := os.Readlink(link); err == nil {
			if _, err := os.Stat(to); err == nil {
				continue // bin itself may be the first folder on PATH.
			}
		}
		if found, err := exec.LookPath(program.name); err == nil && filepath.Dir(found) != bin {
			if err := ensureSymlink(found, link); err != nil {
				return "", err
			}
			continue
		}
		if err := program.ensure(p, goTool, filepath.Join(root, "hack", "cluster"), bin); err != nil {
			return "", err
		}
	}
	return bin, nil
}

func (b program) ensure(p *progress.Printer, goTool, modules, bin string) error {
	target, stamp := filepath.Join(bin, b.name), filepath.Join(bin, "."+b.name+".recipe")
	recipe, err := b.recipe(goTool, modules)
	if err != nil {
		return err
	}
	if _, err := os.Stat(target); err == nil {
		if built, err := os.ReadFile(stamp); err == nil && string(built) == recipe {
			return nil
		}
	}
	what := "Build " + b.name
	if b.name == "kubernetes" {
		what += " " + Version
	}
	if b.hint != "" {
		what += " (" + b.hint + ")"
	}
	return p.Run(what, func(detail func(string)) error {
		if err := b.build(goTool, modules, target, detail); err != nil {
			return err
		}
		return state.Write(stamp, []byte(recipe), 0o644)
	})
}

// recipe returns a hash of all inputs of the build.
func (b program) recipe(goTool, modules string) (string, error) {
	version, err := exec.Command(goTool, "env", "GOVERSION").Output()
	if err != nil {
		return "", fmt.Errorf("%s env GOVERSION: %w", goTool, err)
	}
	digest := sha256.New()
	fmt.Fprintf(digest, "%s%s %s\n", version, b.path, b.ldflags)
	files := []string{filepath.Join(modules, b.dir, "go.mod"), filepath.Join(modules, b.dir, "go.sum")}
	if b.path == "." || strings.HasPrefix(b.path, "./") {
		sources, err := filepath.Glob(filepath.Join(modules, b.dir, b.path, "*.go"))
		if err != nil {
			return "", err
		}
		files = append(files, sources...)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("read the inputs of %s: %w", b.name, err)
		}
		fmt.Fprintf(digest, "%s %x\n", filepath.Base(name), sha256.Sum256(data))
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

func (b program) build(goTool, modules, target string, detail func(string)) error {
	temporary := filepath.Join(filepath.Dir(target), ".new-"+b.name)
	defer os.Remove(temporary)
	if err := (gobuild.Build{Go: goTool, Dir: filepath.Join(modules, b.dir), Env: []string{"CGO_ENABLED=0", "GOWORK=off"},
		Flags:  []string{"-trimpath", "-ldflags", strings.TrimSpace("-s -w " + b.ldflags)},
		Output: temporary, Packages: []string{b.path}}).Run(context.Background(), detail); err != nil {
		return fmt.Errorf("build %s: %w", b.name, err)
	}
	return os.Rename(temporary, target)
}

// ensureEtcd copies the machine's etcd to bin, and installs it first if necessary.
func ensureEtcd(p *progress.Printer, bin string) error {
	target := filepath.Join(bin, "etcd")
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	if len(debian.Missing([]debian.Package{Etcd})) > 0 {
		if err := p.Run("Install etcd", func(detail func(string)) error {
			return debian.Install([]debian.Package{Etcd}, detail)
		}); err != nil {
			return err
		}
	}
	source, err := exec.LookPath("etcd")
	if err != nil {
		return fmt.Errorf("find etcd: %w", err)
	}
	return copyFile(source, target)
}

func copyFile(source, target string) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	data, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	return state.Write(target, data, 0o755)
}

// ensureSymlink creates or replaces the symbolic link at path, atomically.
func ensureSymlink(to, path string) error {
	if now, err := os.Readlink(path); err == nil && now == to {
		return nil
	}
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !os.IsNotExist(err) {
		return err
	}
	if err := os.Symlink(to, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

// Built reports whether all programs exist in the cache, even if they are out of
// date.
func Built(cache string) bool {
	bin := filepath.Join(cache, "kubernetes", Version, "bin")
	for _, name := range append([]string{"kubernetes", "coredns", "helm", "etcd"}, Names...) {
		if _, err := fs.Stat(os.DirFS(bin), name); err != nil {
			return false
		}
	}
	return true
}

// Digest returns a hash of the inputs that the programs in bin were built from.
func Digest(bin string) (string, error) {
	digest := sha256.New()
	for _, program := range programs {
		recipe, err := os.ReadFile(filepath.Join(bin, "."+program.name+".recipe"))
		if err != nil {
			return "", fmt.Errorf("read the recipe of %s: %w", program.name, err)
		}
		digest.Write(recipe)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
