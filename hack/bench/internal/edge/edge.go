// Package edge implements baseline B3: the request rate of proxies, including the
// gateway, in front of an origin with minimal work.
package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"ecommerce-stack.dev/hack/bench/internal/child"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/profile"
	"ecommerce-stack.dev/hack/bench/internal/revision"
	"ecommerce-stack.dev/hack/bench/internal/wire"
)

// Paths of the origin. Only responses of cachedPath can be cached.
const (
	plainPath  = "/plain"
	tokenPath  = "/token"
	cachedPath = "/cached"
)

// peer is a proxy, or the origin, with its configuration.
type peer interface {
	// name returns the name of the program.
	name() string
	// spec writes the configuration to dir and returns how to start the program so
	// that it listens on address and forwards requests to the origin.
	spec(ctx context.Context, e *Edge, dir, address string) (child.Spec, error)
}

// Edge is the origin and the proxies in front of it.
type Edge struct {
	// Root is the root of the repository, Bin the folder of built programs.
	Root, Bin string
	// Measured are the targets of the run. Only their peers are built and started.
	Measured []Target
	// Against are earlier revisions whose gateway is measured, too.
	Against []*revision.Revision
	// Profiles takes CPU profiles of the gateway; optional.
	Profiles *profile.Taker

	dir       string
	origin    string // the address of the origin
	addresses map[string]string
	metrics   map[string]string // URLs of the metrics of peers that have any
	children  map[string]*child.Child
	order     []string
	keysFile  string // the keys of all gateways
	tokens    []string
}

// peers returns all peers in the order of their start; the origin is first.
func peers() []peer {
	return []peer{origin{}, nginx{}, haproxy{}, caddy{}, traefik{}, reverseProxy{}, fasthttp{}, varnish{}, gateway{}}
}

// neededPeers returns the origin and the peers of the measured targets.
func (e *Edge) neededPeers() []peer {
	return slices.DeleteFunc(peers(), func(p peer) bool {
		return p.name() != (origin{}).name() && !slices.ContainsFunc(e.Measured, func(t Target) bool { return t.peer == p.name() })
	})
}

// Start builds, starts and checks the peers of the measured targets. It calls progress with
// the name of each.
func (e *Edge) Start(ctx context.Context, progress func(string)) (err error) {
	if e.dir, err = child.Folder("edge"); err != nil {
		return err
	}
	if err := os.Chmod(e.dir, 0o755); err != nil { // The workers of some servers run as another user.
		return err
	}
	e.addresses, e.metrics, e.children = map[string]string{}, map[string]string{}, map[string]*child.Child{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Stop())
		}
	}()
	if err := e.writeKeys(); err != nil {
		return err
	}
	for _, p := range e.neededPeers() {
		progress(p.name())
		if err := e.start(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
	}
	for _, t := range e.Measured {
		if _, twin := measure.Present(t.Title); twin != "" {
			continue // startTwins checks it.
		}
		if err := e.awaitReady(ctx, t); err != nil {
			return err
		}
	}
	for _, r := range e.Against {
		progress(gateway{r}.name())
		if err := e.startTwins(ctx, r); err != nil {
			return r.Incompatible(err)
		}
	}
	return e.writeScript()
}

func (e *Edge) start(ctx context.Context, p peer) error {
	address, err := child.FreeAddress()
	if err != nil {
		return err
	}
	dir := filepath.Join(e.dir, p.name())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if p.name() == (origin{}).name() {
		e.origin = address
	}
	spec, err := p.spec(ctx, e, dir, address)
	if err != nil {
		return err
	}
	if spec.Log == "" {
		spec.Log = filepath.Join(dir, "output")
	}
	c, err := child.Start(spec)
	if err != nil {
		return err
	}
	e.addresses[p.name()], e.children[p.name()] = address, c
	e.order = append(e.order, p.name())
	return c.Listening(ctx, address)
}

// build compiles a program of a module to Bin and returns its path.
func (e *Edge) build(ctx context.Context, module, what string, env ...string) (string, error) {
	out := filepath.Join(e.Bin, filepath.Base(what))
	if what == "." {
		out = filepath.Join(e.Bin, filepath.Base(module))
	}
	return out, compile(ctx, filepath.Join(e.Root, module), what, out, env...)
}

// compile compiles a program of the module in dir to a file.
func compile(ctx context.Context, dir, what, file string, env ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", file, what)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // so that it removes its temporary files
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", what, dir, err, output)
	}
	return nil
}

// readyTimeout is the time limit from listening to the first expected response. Traefik
// listens before it has read its routes.
const readyTimeout = 10 * time.Second

// awaitReady checks a target until it responds as expected.
func (e *Edge) awaitReady(ctx context.Context, t Target) error {
	for deadline := time.Now().Add(readyTimeout); ; {
		err := e.check(ctx, t)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not respond as expected: %w", t.Title, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// check sends a request, and one without a token if the target requires one, and checks
// the responses.
func (e *Edge) check(ctx context.Context, t Target) error {
	client := wire.New(e.addresses[t.peer])
	defer client.Close()
	request := wire.Request{Method: http.MethodGet, Path: t.path}
	if t.requiresToken {
		a, err := client.Do(ctx, request)
		if err != nil {
			return err
		}
		if a.Status != http.StatusUnauthorized {
			return fmt.Errorf("%d without a token, want 401", a.Status)
		}
	}
	if t.tokens {
		request.Header = "Authorization: Bearer " + e.tokens[0] + "\r\n"
	}
	a, err := client.Do(ctx, request)
	if err != nil {
		return err
	}
	if a.Status != http.StatusOK || len(a.Body) < 200 {
		return fmt.Errorf("%d with %d bytes: %s", a.Status, len(a.Body), a.Body)
	}
	return nil
}

// Stop stops all peers and removes their files.
func (e *Edge) Stop() error {
	for i := len(e.order) - 1; i >= 0; i-- {
		e.children[e.order[i]].Stop()
	}
	e.order = nil
	if e.dir == "" {
		return nil
	}
	return os.RemoveAll(e.dir)
}
