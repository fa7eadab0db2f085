// Package proxies implements baseline B3: the request rate of proxies, including the
// gateway, in front of an origin with minimal work.
package proxies

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/bench/internal/revision"
	"ecommerce-stack.dev/hack/bench/internal/shop"
)

// Proxies is the origin and the proxies in front of it.
type Proxies struct {
	// Root is the root of the repository, Bin the folder of built programs.
	Root, Bin string
	// Against are earlier revisions whose gateway is measured, too.
	Against []*revision.Revision

	dir     string
	running map[string]*process
	order   []string
	tokens  []string
}

// needed returns the origin and the peers of targets in the order of their start.
func (ps *Proxies) needed(targets []target) []peer {
	all := peers()
	for _, r := range ps.Against {
		all = append(all, gateway(r))
	}
	return slices.DeleteFunc(all, func(p peer) bool {
		return p.name != "origin" && !slices.ContainsFunc(targets, func(t target) bool { return t.peer.name == p.name })
	})
}

// Start builds, starts and checks the peers of the selected measurements. It calls progress
// with the name of each, and with the progress of its build.
func (ps *Proxies) Start(ctx context.Context, selected []string, progress func(string)) (err error) {
	if ps.dir, err = os.MkdirTemp("", "ecommerce-bench-proxies-"); err != nil {
		return err
	}
	ps.running = map[string]*process{}
	defer func() {
		if err != nil {
			err = errors.Join(err, ps.Stop())
		}
	}()
	if err := os.Chmod(ps.dir, 0o755); err != nil { // The workers of some servers run as another user.
		return err
	}
	if err := ps.prepareLoad(); err != nil {
		return err
	}
	targets := slices.DeleteFunc(ps.targets(), func(t target) bool { return !slices.Contains(selected, t.measurement()) })
	needed := ps.needed(targets)
	for _, p := range append([]peer{{program: "wrk"}}, needed...) {
		if _, err := exec.LookPath(p.program); p.module == "" && err != nil {
			return fmt.Errorf("%w: run `make deps`, which installs the proxies and the load generator", err)
		}
	}
	for _, p := range needed {
		progress(p.name)
		if err := ps.startAndCheck(ctx, p, targets, func(detail string) { progress(p.name + ": " + detail) }); err != nil {
			err = fmt.Errorf("%s: %w", p.name, err)
			if p.revision != nil {
				err = p.revision.Incompatible(err)
			}
			return err
		}
	}
	return nil
}

func (ps *Proxies) startAndCheck(ctx context.Context, p peer, targets []target, detail func(string)) error {
	running, err := ps.start(ctx, p, detail)
	if err != nil {
		return err
	}
	ps.running[p.name], ps.order = running, append(ps.order, p.name)
	for _, t := range append([]target{newTarget(peers()[0], "")}, targets...) {
		if t.peer.name != p.name {
			continue
		}
		if err := running.AwaitReady(ctx, func(ctx context.Context) error { return ps.check(ctx, t) }); err != nil {
			return err
		}
	}
	return nil
}

// check sends a request, and one without a token if the target requires one, and checks
// the responses.
func (ps *Proxies) check(ctx context.Context, t target) error {
	if t.requiresToken {
		if err := ps.expect(ctx, t, "", http.StatusUnauthorized, 0); err != nil {
			return fmt.Errorf("without a token: %w", err)
		}
	}
	token := ""
	if t.tokens {
		token = ps.tokens[0]
	}
	return ps.expect(ctx, t, token, http.StatusOK, 200)
}

// expect sends a request over a new connection, and returns an error if the response has
// another status or fewer bytes.
func (ps *Proxies) expect(ctx context.Context, t target, token string, status, bytes int) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ps.url(t), nil)
	if err != nil {
		return err
	}
	req.Close = true
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && (res.StatusCode != status || len(body) < bytes) {
		err = fmt.Errorf("%s: status %d with %d bytes, want %d with at least %d: %s", t.name, res.StatusCode, len(body), status, bytes, body)
	}
	return err
}

func (ps *Proxies) url(t target) string { return "http://" + ps.running[t.peer.name].address + t.path }

// Stop stops all peers and removes their files.
func (ps *Proxies) Stop() error {
	for _, name := range slices.Backward(ps.order) {
		ps.running[name].Stop()
	}
	ps.order = nil
	return os.RemoveAll(ps.dir)
}

func (ps *Proxies) keysFile() string { return filepath.Join(ps.dir, "keys.json") }

// users is the number of users, each with a token.
const users = 1000

// prepareLoad writes the files of the keys that every gateway verifies tokens with, the tokens of
// users, one a line, and the script of wrk.
func (ps *Proxies) prepareLoad() (err error) {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // It never fails.
	keys := fmt.Sprintf(`{"keys":[{"kty":"oct","alg":"HS256","use":"sig","kid":"bench","k":%q}]}`, base64.RawURLEncoding.EncodeToString(secret))
	if err := os.WriteFile(ps.keysFile(), []byte(keys), 0o600); err != nil {
		return err
	}
	if ps.tokens, err = shop.Tokens(ps.keysFile(), users, "Client"); err != nil {
		return err
	}
	script, err := configs.ReadFile("config/wrk.lua")
	return errors.Join(err, os.WriteFile(filepath.Join(ps.dir, "wrk.lua"), script, 0o600),
		os.WriteFile(filepath.Join(ps.dir, "tokens"), []byte(strings.Join(ps.tokens, "\n")+"\n"), 0o600))
}
