package proxies

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"ecommerce-stack.dev/hack/bench/internal/child"
	"ecommerce-stack.dev/hack/bench/internal/measure"
	"ecommerce-stack.dev/hack/bench/internal/revision"
	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/local"
	"ecommerce-stack.dev/hack/internal/published"
)

// configs contains a folder of files for each peer that needs some, and the script of wrk.
//
//go:embed config
var configs embed.FS

// peer is a proxy, or the origin. Arguments, environment and files contain placeholders:
// @DIR@, the folder of the files, @ADDRESS@ to listen on, @ORIGIN@ with @HOST@ and @PORT@,
// and @KEYS@, the file of keys.
type peer struct {
	name, about string
	// kinds are the suffixes of the targets: "" for /plain, "-token" for requests with
	// tokens, "-cached" for /cached.
	kinds []string
	// program is the path of an installed program, or a package of module. module is a
	// folder of the source tree, or the path and version of a published module, which is
	// built with the requirements of its own.
	program, module string
	arguments       []string
	env             []string // nil is that of the bench
	// signal stops the program and its children when the bench dies; 0 is SIGKILL.
	signal syscall.Signal
	// revision is the source tree; nil is the present one.
	revision *revision.Revision
}

// peers returns all peers in the order of their start.
func peers() []peer {
	plain, tokens, cached := []string{""}, []string{"", "-token"}, []string{"", "-token", "-cached"}
	return []peer{
		{name: "origin", about: "a no-op origin of about 300 bytes, directly", kinds: tokens, module: "hack/bench", program: "./peers/origin", arguments: []string{"@ADDRESS@"}},
		{name: "nginx", about: "nginx, with proxy_cache", kinds: cached, program: "/usr/sbin/nginx", signal: syscall.SIGTERM,
			arguments: []string{"-p", "@DIR@", "-e", "@DIR@/error.log", "-c", "@DIR@/nginx.conf"}},
		{name: "haproxy", about: "haproxy", kinds: plain, program: "/usr/sbin/haproxy", arguments: []string{"-db", "-f", "@DIR@/haproxy.cfg"}},
		{name: "caddy", about: "Caddy", kinds: plain, module: "github.com/caddyserver/caddy/v2@v2.11.9", program: "./cmd/caddy", arguments: []string{"run", "--config", "@DIR@/caddy.json"}, env: []string{"HOME=@DIR@", "PATH=/usr/bin:/bin"}},
		{name: "traefik", about: "Traefik", kinds: plain, module: "github.com/traefik/traefik/v3@v3.6.7", program: "./cmd/traefik", arguments: []string{"--configFile=@DIR@/traefik.yaml"}},
		{name: "go-reverseproxy", about: "Go's httputil.ReverseProxy, tuned", kinds: tokens, module: "hack/bench", program: "./peers/reverseproxy", arguments: []string{"@ADDRESS@", "http://@ORIGIN@"}},
		{name: "fasthttp", about: "a minimal reverse proxy with fasthttp, tuned", kinds: tokens, module: "hack/bench", program: "./peers/fasthttp", arguments: []string{"@ADDRESS@", "http://@ORIGIN@"}},
		{name: "varnish", about: "varnish", kinds: []string{"-cached"}, program: "/usr/sbin/varnishd", signal: syscall.SIGTERM,
			arguments: []string{"-F", "-j", "none", "-n", "@DIR@/work", "-a", "@ADDRESS@", "-f", "@DIR@/origin.vcl", "-s", "default,64m", "-T", "none"}},
		gateway(nil),
	}
}

// gateway returns the gateway of a revision; nil is the present source tree. It logs requests,
// which is the default, but its output is discarded.
func gateway(r *revision.Revision) peer {
	p := peer{name: "gateway", about: "the gateway, which verifies tokens and limits only with -token", kinds: []string{"", "-token", "-cached"}, module: ".", program: "./services/gateway", revision: r, env: []string{
		"HTTP_ADDR=@ADDRESS@", "METRICS_ADDR=127.0.0.1:0", "ROUTES_FILE=@DIR@/routes.yaml",
		"JWT_KEYS_FILE=@KEYS@", "JWT_ISSUER=" + local.Issuer, "JWT_AUDIENCE=" + local.Audience,
		"AUTH_URL=http://@ORIGIN@", "SALES_URL=http://@ORIGIN@", "STOCK_URL=http://@ORIGIN@",
		"RATE_LIMIT_RPS=1000000", "RATE_LIMIT_BURST=1000000", "LOGIN_RATE_PER_MINUTE=0",
	}}
	if r != nil {
		p.name, p.about, p.env = measure.Twin(p.name, r.Commit), p.about+", as built from "+r.Commit, append(p.env, r.Env...)
	}
	return p
}

// isGateway reports whether a peer is the gateway.
func (p peer) isGateway() bool { return p.program == "./services/gateway" }

// process is a running peer.
type process struct {
	*child.Child
	address string
}

// start builds and starts a peer. It calls detail with the progress of the build.
func (ps *Proxies) start(ctx context.Context, p peer, detail func(string)) (*process, error) {
	address, err := child.FreeAddress()
	if err != nil {
		return nil, err
	}
	origin := address
	if running := ps.running["origin"]; running != nil {
		origin = running.address
	}
	host, port, err := net.SplitHostPort(origin)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(ps.dir, p.name)
	fill := strings.NewReplacer("@DIR@", dir, "@ADDRESS@", address, "@ORIGIN@", origin, "@HOST@", host, "@PORT@", port, "@KEYS@", ps.keysFile())
	program, err := ps.build(ctx, p, dir, detail)
	if err != nil {
		return nil, err
	}
	if err := writeConfig(p, dir, fill); err != nil {
		return nil, err
	}
	cmd, log, signal := exec.Command(program), filepath.Join(dir, "output"), p.signal
	for _, a := range p.arguments {
		cmd.Args = append(cmd.Args, fill.Replace(a))
	}
	for _, v := range p.env {
		cmd.Env = append(cmd.Env, fill.Replace(v))
	}
	if signal == 0 {
		signal = syscall.SIGKILL
	}
	if p.isGateway() {
		log = os.DevNull
	}
	running, err := child.Start(cmd, log, signal)
	return &process{running, address}, err
}

// build compiles the program of a peer, unless it is an installed one, and returns its path.
// Earlier revisions are built to dir, because the next run extracts them to another folder and
// has to rebuild them anyway. It calls detail with its progress.
func (ps *Proxies) build(ctx context.Context, p peer, dir string, detail func(string)) (string, error) {
	if p.module == "" {
		return p.program, nil
	}
	root, file := ps.Root, filepath.Join(ps.Bin, p.name)
	if p.revision != nil {
		root, file = p.revision.Root, filepath.Join(dir, p.name)
	}
	if strings.Contains(p.module, "@") {
		return file, published.Program{Module: p.module, Package: p.program}.Build(ctx, "go", file, detail)
	}
	build := gobuild.Build{Go: "go", Dir: filepath.Join(root, p.module), Env: []string{"CGO_ENABLED=0"}, Flags: []string{"-buildvcs=false"},
		Output: file, Packages: []string{p.program}}
	if err := build.Run(ctx, detail); err != nil {
		return "", fmt.Errorf("build %s in %s: %w", p.program, build.Dir, err)
	}
	return file, nil
}

// writeConfig writes the files of a peer to dir. The workers of some servers run as another
// user.
func writeConfig(p peer, dir string, fill *strings.Replacer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	name, _ := measure.Present(p.name)
	files, _ := fs.Glob(configs, "config/"+name+"/*") // The pattern is well-formed.
	for _, file := range files {
		content, err := configs.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(fill.Replace(string(content))), 0o644); err != nil {
			return err
		}
	}
	return nil
}
