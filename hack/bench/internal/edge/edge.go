// Package edge is baseline B3: what stands between a client and an origin that does
// next to nothing, and how much of the origin's rate it lets through. The gateway
// stands there like any other proxy.
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

// Paths of the origin: answers that may be kept, and those that may not.
const (
	plainPath  = "/plain"
	tokenPath  = "/token"
	cachedPath = "/cached"
)

// peer is a program with its configuration.
type peer interface {
	// name of the program.
	name() string
	// spec writes what the program needs to dir and says how to start it so that it
	// listens on address in front of the origin.
	spec(ctx context.Context, e *Edge, dir, address string) (child.Spec, error)
}

// Edge is the origin with everything that stands in front of it.
type Edge struct {
	// Root of the repository, Bin where programs are built to and kept.
	Root, Bin string
	// Measured are the targets of the run. Only their peers are built and started.
	Measured []Target
	// Against are earlier revisions whose gateway stands beside the present one.
	Against []*revision.Revision
	// Profiles takes CPU profiles of the gateway, unless it is nil.
	Profiles *profile.Taker

	dir       string
	origin    string // its address
	addresses map[string]string
	metrics   map[string]string // of peers that have any
	children  map[string]*child.Child
	order     []string
	keysFile  string // of all gateways
	tokens    []string
}

// peers returns all peers in the order they are started: the origin is first.
func peers() []peer {
	return []peer{origin{}, nginx{}, haproxy{}, caddy{}, traefik{}, reverseProxy{}, fasthttp{}, varnish{}, gateway{}}
}

// needed returns the peers of the measured targets, behind the origin.
func (e *Edge) needed() []peer {
	return slices.DeleteFunc(peers(), func(p peer) bool {
		return p.name() != (origin{}).name() && !slices.ContainsFunc(e.Measured, func(t Target) bool { return t.peer == p.name() })
	})
}

// Start builds, starts and tries the peers of the measured targets. tell is called with the
// name of each.
func (e *Edge) Start(ctx context.Context, tell func(string)) (err error) {
	if e.dir, err = child.Folder("edge"); err != nil {
		return err
	}
	if err := os.Chmod(e.dir, 0o755); err != nil { // A server's workers may be another user.
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
	for _, p := range e.needed() {
		tell(p.name())
		if err := e.start(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name(), err)
		}
	}
	for _, t := range e.Measured {
		if _, twin := measure.Present(t.Title); twin != "" {
			continue // startTwins tries it.
		}
		if err := e.awaitReady(ctx, t); err != nil {
			return err
		}
	}
	for _, r := range e.Against {
		tell(gateway{r}.name())
		if err := e.startTwins(ctx, r); err != nil {
			return r.Old(err)
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

// build compiles a program of a module and returns its path, at which it is kept.
func (e *Edge) build(ctx context.Context, module, what string, env ...string) (string, error) {
	out := filepath.Join(e.Bin, filepath.Base(what))
	if what == "." {
		out = filepath.Join(e.Bin, filepath.Base(module))
	}
	return out, compile(ctx, filepath.Join(e.Root, module), what, out, env...)
}

// compile compiles a program of the module in a folder to a file.
func compile(ctx context.Context, dir, what, file string, env ...string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", file, what)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // It removes what it has begun.
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", what, dir, err, said)
	}
	return nil
}

// readyWithin is how long a peer may take from listening to the first expected response.
// Traefik listens before it has read its routes.
const readyWithin = 10 * time.Second

// awaitReady tries a target until it responds as expected.
func (e *Edge) awaitReady(ctx context.Context, t Target) error {
	for deadline := time.Now().Add(readyWithin); ; {
		err := e.try(ctx, t)
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

// try makes one call and looks at the answer.
func (e *Edge) try(ctx context.Context, t Target) error {
	client := wire.New(e.addresses[t.peer])
	defer client.Close()
	request := wire.Request{Method: http.MethodGet, Path: t.path}
	if t.guarded {
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

// Stop ends everything.
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
