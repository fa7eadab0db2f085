// Command gateway is the entry point of the stack: it authenticates clients, limits their
// requests, caches public responses, and forwards requests to auth, sales and stock.
//
// Usage: gateway [serve]. The settings are environment variables; see
// docs/contracts.md.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
	"golang.org/x/sync/semaphore"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/docs"
	"ecommerce-stack.dev/services/gateway/internal/gateway"
	"ecommerce-stack.dev/services/gateway/internal/invalidation"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/asyncapi"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/clientaddr"
	"ecommerce-stack.dev/services/internal/command"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/connection"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/lifecycle"
	"ecommerce-stack.dev/services/internal/limit"
	"ecommerce-stack.dev/services/internal/reload"
	"ecommerce-stack.dev/services/internal/static"
	"ecommerce-stack.dev/services/internal/telemetry"
	"ecommerce-stack.dev/services/internal/tracing"
)

const name = "gateway"

const defaultAddr = ":5001"

type settings struct {
	Process   lifecycle.Config
	Tokens    authn.Config
	Auth      url.URL            `env:"AUTH_URL,required,notEmpty"`
	Sales     url.URL            `env:"SALES_URL,required,notEmpty"`
	Stock     url.URL            `env:"STOCK_URL,required,notEmpty"`
	AMQP      config.Secret      `env:"AMQP_URL"`
	RPS       int                `env:"RATE_LIMIT_RPS" envDefault:"100"`
	Burst     int                `env:"RATE_LIMIT_BURST" envDefault:"200"`
	LoginRate int                `env:"LOGIN_RATE_PER_MINUTE" envDefault:"60"`
	CacheTTL  time.Duration      `env:"CACHE_TTL" envDefault:"30s"`
	Origins   gateway.Origins    `env:"CORS_ORIGINS"`
	Proxies   clientaddr.Proxies `env:"TRUSTED_PROXIES"`
	// MaxConnections is derived from the memory limit if it is 0.
	MaxConnections int    `env:"MAX_CONNECTIONS"`
	PerAddress     int    `env:"MAX_CONNECTIONS_PER_ADDRESS" envDefault:"256"`
	CertFile       string `env:"TLS_CERT_FILE"`
	KeyFile        string `env:"TLS_KEY_FILE"`
	RoutesFile     string `env:"ROUTES_FILE"`
}

// The ranges of the numbers.
const (
	maxRate        = 1_000_000
	minConnections = 16
	maxConnections = 1_000_000
)

// Check implements config.Checker.
func (s settings) Check() error {
	var wrong []error
	for variable, u := range map[string]url.URL{"AUTH_URL": s.Auth, "SALES_URL": s.Sales, "STOCK_URL": s.Stock} {
		if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") {
			wrong = append(wrong, errors.New(variable+" is not of the form http://host:port"))
		}
	}
	for _, n := range []struct {
		variable        string
		value, from, to int
	}{
		{"RATE_LIMIT_RPS", s.RPS, 0, maxRate}, {"RATE_LIMIT_BURST", s.Burst, 0, maxRate}, {"LOGIN_RATE_PER_MINUTE", s.LoginRate, 0, maxRate},
		{"MAX_CONNECTIONS", s.connections(), minConnections, maxConnections}, {"MAX_CONNECTIONS_PER_ADDRESS", s.PerAddress, 1, maxConnections},
	} {
		if n.value < n.from || n.value > n.to {
			wrong = append(wrong, fmt.Errorf("%s is %d, which is not in the range %d to %d", n.variable, n.value, n.from, n.to))
		}
	}
	if s.CacheTTL < 0 || s.CacheTTL > 24*time.Hour {
		wrong = append(wrong, fmt.Errorf("CACHE_TTL is %s, which is not in the range 0s to 24h", s.CacheTTL))
	}
	if (s.CertFile == "") != (s.KeyFile == "") {
		wrong = append(wrong, errors.New("of TLS_CERT_FILE and TLS_KEY_FILE only one is set: set both, or none"))
	}
	return errors.Join(wrong...)
}

// The memory limit is shared between what clients can make the gateway hold. The rest is
// for the requests being handled, and for the garbage of those that were.
const (
	connectionBytes = 80 << 10 // at most, with an unfinished request: buffer, small body, stack
	connectionShare = 2        // a half
	bufferShare     = 6        // of large responses
	cacheShare      = 16       // of items, and of lists
)

func memoryLimit() int64 { return debug.SetMemoryLimit(-1) }

// connections returns the total cap of connections.
func (s settings) connections() int {
	if s.MaxConnections != 0 {
		return s.MaxConnections
	}
	return int(min(max(memoryLimit()/connectionShare/connectionBytes, minConnections), maxConnections))
}

// limits returns the limiters by class; 0 switches a limit off.
func (s settings) limits() map[string]*limit.Limiter {
	limits := map[string]*limit.Limiter{}
	if s.RPS > 0 && s.Burst > 0 {
		limits[route.LimitDefault] = limit.New(s.RPS, time.Second, s.Burst)
	}
	if s.LoginRate > 0 {
		limits[route.LimitLogin] = limit.New(s.LoginRate, time.Minute, s.LoginRate)
	}
	return limits
}

func main() {
	command.Main(name, map[string]func(context.Context) error{"serve": serve})
}

func serve(ctx context.Context) error {
	c, err := config.Load[settings]()
	if err != nil {
		return err
	}
	if c.Process.HTTPAddr == "" {
		c.Process.HTTPAddr = defaultAddr
	}
	log, metrics, checks := telemetry.NewLogger(telemetry.Stdout, name, c.Process.LogLevel), telemetry.NewRegistry(name), health.New()
	process := lifecycle.New(lifecycle.Options{Config: c.Process, Log: log, Metrics: metrics, Health: checks})
	stopTracing, err := tracing.Start(tracing.Options{Config: c.Process.Tracing, Service: name, Edge: true, Log: log, Metrics: metrics})
	if err != nil {
		return err
	}
	verifier, err := authn.NewVerifier(c.Tokens)
	if err != nil {
		return err
	}
	routes := routesFile{path: c.RoutesFile}
	table, err := routes.first()
	if err != nil {
		return err
	}
	buffers := semaphore.NewWeighted(memoryLimit() / bufferShare)
	calls := proxy.NewMetrics(metrics)
	auth, sales, stock := proxy.NewUpstream("auth", &c.Auth, buffers, calls), proxy.NewUpstream("sales", &c.Sales, buffers, calls),
		proxy.NewUpstream("stock", &c.Stock, buffers, calls)
	responses := cache.New(c.CacheTTL, uint64(memoryLimit()/cacheShare), metrics)
	g := gateway.New(gateway.Options{
		Table: table, Upstreams: map[string]*proxy.Upstream{"auth": auth, "sales": sales, "stock": stock},
		Verifier: verifier, Limits: c.limits(), Proxies: c.Proxies, Origins: c.Origins, Cache: responses, Buffers: buffers,
		Draining: process.Draining(), Log: log, Metrics: metrics,
	})
	for path, probe := range map[string]http.HandlerFunc{"/health": checks.Health, "/livez": checks.Live, "/readyz": checks.Ready} {
		serve := fasthttpadaptor.NewFastHTTPHandlerFunc(probe)
		g.Probe(path, func(ctx *fasthttp.RequestCtx) error { serve(ctx); return nil })
	}
	page, err := docs.Page()
	if err != nil {
		return err
	}
	events, err := asyncapi.Document()
	if err != nil {
		return err
	}
	g.Page("/asyncapi.json", static.New(asyncapi.ContentType, events).Serve)
	g.Page("/openapi.json", docs.New([]docs.Source{auth, stock, sales}, g.Forwarded).Serve)
	g.Page("/", docs.Redirect)
	g.Page(docs.PagePath, page)
	g.Page(docs.PageAssets, page)
	for _, u := range []*proxy.Upstream{auth, stock, sales} {
		checks.Add(u.Name(), u.Ready)
		process.OnStop(u.Name(), func(context.Context) error { u.Close(); return nil })
	}
	process.Internal(authn.KeysPattern, verifier.KeysHandler(nil))
	process.Background("keys", func(ctx context.Context) { verifier.Watch(ctx, log) })
	if c.RoutesFile != "" {
		process.Background("routes", func(ctx context.Context) {
			reload.Watch(ctx, log, "routes", func() (bool, error) { return routes.changed(g.Use) })
		})
	}
	var https *tls.Config
	if c.CertFile != "" {
		pair := reload.Certificate{CertFile: c.CertFile, KeyFile: c.KeyFile}
		if _, err := pair.Read(); err != nil {
			return fmt.Errorf("TLS_CERT_FILE, TLS_KEY_FILE: %w", err)
		}
		https = pair.Config()
		process.Background("certificate", func(ctx context.Context) { reload.Watch(ctx, log, "the TLS certificate", pair.Read) })
	}
	if c.AMQP != "" {
		changes := invalidation.Listener{URL: c.AMQP.Reveal(), Cache: responses, Log: log}
		process.Background("changes", changes.Run)
	}
	process.OnStop("tracing", stopTracing)
	connections := connection.NewTable(connection.Limits{Max: c.connections(), PerAddress: c.PerAddress,
		Exempt: func(a netip.Addr) bool { return c.Proxies.Trusts(a) }, Refusal: gateway.Refusal()}, metrics)
	return process.Run(ctx, gateway.NewServer(g, connections, https))
}
