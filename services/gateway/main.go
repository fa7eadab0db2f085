// Command gateway is the one way into the stack: it knows the callers, holds the
// limits, keeps public answers, and passes requests on to auth, sales and stock.
//
// Usage: gateway [serve]. The settings are environment variables; see
// docs/contracts.md.
package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"ecommerce-stack.dev/services/gateway/internal/cache"
	"ecommerce-stack.dev/services/gateway/internal/client"
	"ecommerce-stack.dev/services/gateway/internal/docs"
	"ecommerce-stack.dev/services/gateway/internal/edge"
	"ecommerce-stack.dev/services/gateway/internal/eventloop"
	"ecommerce-stack.dev/services/gateway/internal/http1"
	"ecommerce-stack.dev/services/gateway/internal/invalidation"
	"ecommerce-stack.dev/services/gateway/internal/limit"
	"ecommerce-stack.dev/services/gateway/internal/proxy"
	"ecommerce-stack.dev/services/gateway/internal/route"
	"ecommerce-stack.dev/services/internal/authn"
	"ecommerce-stack.dev/services/internal/command"
	"ecommerce-stack.dev/services/internal/config"
	"ecommerce-stack.dev/services/internal/health"
	"ecommerce-stack.dev/services/internal/reload"
	"ecommerce-stack.dev/services/internal/server"
	"ecommerce-stack.dev/services/internal/telemetry"
)

const name = "gateway"

type settings struct {
	Server     server.Config
	Tokens     authn.Config
	Auth       url.URL        `env:"AUTH_URL,required,notEmpty"`
	Sales      url.URL        `env:"SALES_URL,required,notEmpty"`
	Stock      url.URL        `env:"STOCK_URL,required,notEmpty"`
	AMQP       config.Secret  `env:"AMQP_URL"`
	RPS        int            `env:"RATE_LIMIT_RPS" envDefault:"100"`
	Burst      int            `env:"RATE_LIMIT_BURST" envDefault:"200"`
	LoginRate  int            `env:"LOGIN_RATE_PER_MINUTE" envDefault:"60"`
	CacheTTL   time.Duration  `env:"CACHE_TTL" envDefault:"30s"`
	Origins    edge.Origins   `env:"CORS_ORIGINS"`
	Proxies    client.Proxies `env:"TRUSTED_PROXIES"`
	RoutesFile string         `env:"ROUTES_FILE"`
}

// Check implements config.Checker.
func (s settings) Check() error {
	var wrong []error
	for variable, u := range map[string]url.URL{"AUTH_URL": s.Auth, "SALES_URL": s.Sales, "STOCK_URL": s.Stock} {
		if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || (u.Path != "" && u.Path != "/") {
			wrong = append(wrong, errors.New(variable+" is not of the form http://host:port"))
		}
	}
	for variable, n := range map[string]int{"RATE_LIMIT_RPS": s.RPS, "RATE_LIMIT_BURST": s.Burst, "LOGIN_RATE_PER_MINUTE": s.LoginRate} {
		if n < 0 {
			wrong = append(wrong, errors.New(variable+" is negative"))
		}
	}
	if s.CacheTTL < 0 {
		wrong = append(wrong, errors.New("CACHE_TTL is negative"))
	}
	return errors.Join(wrong...)
}

// limits by class; 0 switches a limit off.
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
	log, metrics, checks := telemetry.NewLogger(telemetry.Stdout, name, c.Server.LogLevel), telemetry.NewRegistry(name), health.New()
	verifier, err := authn.NewVerifier(c.Tokens)
	if err != nil {
		return err
	}
	routes := routesFile{path: c.RoutesFile}
	table, err := routes.first()
	if err != nil {
		return err
	}
	loops, err := eventloop.Start(runtime.GOMAXPROCS(0))
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	callMetrics := proxy.NewMetrics(metrics)
	auth, sales, stock := proxy.NewUpstream("auth", &c.Auth, loops, callMetrics), proxy.NewUpstream("sales", &c.Sales, loops, callMetrics),
		proxy.NewUpstream("stock", &c.Stock, loops, callMetrics)
	answers := cache.New(c.CacheTTL, metrics)

	var front *edge.Edge
	engine := func(h http.Handler, malformed func(http.ResponseWriter, *http.Request, int), l server.Limits, log *slog.Logger) server.Engine {
		return &http1.Server{Handler: h, Limits: http1.Limits(l), Log: log, Refuse: malformed, Loops: loops, Fast: front.Fast}
	}
	srv := server.New(server.Options{Name: name, DefaultAddr: ":5001", Config: c.Server, Log: log, Metrics: metrics, Health: checks, Engine: engine})
	front = edge.New(edge.Options{
		Table: table, Upstreams: map[string]*proxy.Upstream{"auth": auth, "sales": sales, "stock": stock},
		Verifier: verifier, Limits: c.limits(), Proxies: c.Proxies, Origins: c.Origins, Cache: answers,
		Draining: srv.Draining(), Log: log, Metrics: metrics, Observer: srv,
	})
	srv.Fallback(front)
	srv.Refuse(front.Refuse)
	upstreams := []*proxy.Upstream{auth, stock, sales}
	page, err := docs.Page()
	if err != nil {
		return err
	}
	front.Page("/openapi.json", docs.New(upstreams, front.RouteOf))
	front.Page(docs.PagePath, page)
	front.Page(docs.PageAssets, page)
	for _, u := range upstreams {
		checks.Add(u.Name(), u.Ready)
		srv.OnStop(u.Name(), func(context.Context) error { u.Close(); return nil })
	}
	srv.Background("keys", func(ctx context.Context) { verifier.Watch(ctx, log) })
	if c.RoutesFile != "" {
		srv.Background("routes", func(ctx context.Context) {
			reload.Watch(ctx, log, "routes", func() (bool, error) { return routes.changed(front.Use) })
		})
	}
	if c.AMQP != "" {
		changes := invalidation.Listener{URL: c.AMQP.Reveal(), Cache: answers, Log: log}
		srv.Background("changes", changes.Run)
	}
	return srv.Run(ctx)
}
