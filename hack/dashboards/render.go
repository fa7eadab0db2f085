package main

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/prometheus/client_golang/api"
	prometheusapi "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/internal/client"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// The components that draw the panels, bundled with esbuild. package-lock.json pins them.
//
//go:embed render/package.json render/package-lock.json render/panels.tsx
var components embed.FS

// pictureWidth is the width of a picture in pixels, and points the number of values of a series.
const (
	pictureWidth = 1400
	points       = 240
	pageTimeout  = time.Minute
	readyTimeout = 10 * time.Second
)

type renderCommand struct {
	Prometheus string        `required:"" help:"Address of a Prometheus that scrapes a stack."`
	Out        string        `required:"" help:"Folder for the pictures." type:"existingdir"`
	Namespace  string        `help:"Namespace of the stack." default:"shop"`
	Stack      string        `help:"Name of the stack." default:"demo"`
	Range      time.Duration `help:"Time until now that the pictures show." default:"15m"`
	Rate       time.Duration `help:"Range of rates: at least four times the scrape interval." default:"1m"`
}

// Run writes a picture of each dashboard, <uid>.png, with Grafana's components and the data of a
// Prometheus. There is no Grafana server: the variables are replaced here.
func (c renderCommand) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	p := progress.New(os.Stderr)
	var bundled string
	err := p.Run("bundle Grafana's components (about two minutes the first time)", func(detail func(string)) (err error) {
		bundled, err = bundle(ctx, detail)
		return err
	})
	if err != nil {
		return err
	}
	connection, err := api.NewClient(api.Config{Address: c.Prometheus})
	if err != nil {
		return fmt.Errorf("--prometheus: %w", err)
	}
	if err := p.Run("wait for Prometheus", func(func(string)) error { return awaitReady(ctx, c.Prometheus) }); err != nil {
		return err
	}
	browser, stopBrowser, err := startBrowser(ctx)
	if err != nil {
		return err
	}
	defer stopBrowser()
	source := prometheusapi.NewAPI(connection)
	for _, spec := range all {
		if err := p.Run("render "+spec.title, func(func(string)) error {
			in, err := c.input(ctx, source, spec)
			if err != nil {
				return err
			}
			picture, err := draw(browser, bundled, in)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(c.Out, spec.uid+".png"), picture, 0o644)
		}); err != nil {
			return fmt.Errorf("%s: %w", spec.uid, err)
		}
	}
	return nil
}

// awaitReady waits until a Prometheus is ready, which a forwarded port is after a moment.
func awaitReady(ctx context.Context, url string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		last = client.CheckReady(ctx, strings.TrimSuffix(url, "/")+"/-/ready")
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("--prometheus: %w", errors.Join(last, err))
	}
	return nil
}

// bundle returns the folder with panels.js and panels.css. It is cached outside of the checkout,
// by the content of its sources.
func bundle(ctx context.Context, detail func(string)) (string, error) {
	sources, err := fs.Sub(components, "render")
	if err != nil {
		return "", err
	}
	digest := sha256.New()
	if err := fs.WalkDir(sources, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(sources, path)
		fmt.Fprintf(digest, "%s %d\n%s", path, len(content), content)
		return err
	}); err != nil {
		return "", err
	}
	cache, err := workspace.Cache()
	if err != nil {
		return "", err
	}
	bundled := filepath.Join(cache, "dashboards", hex.EncodeToString(digest.Sum(nil))[:16])
	if _, err := os.Stat(bundled); err == nil {
		return bundled, nil
	}
	if _, err := exec.LookPath("npm"); err != nil {
		return "", errors.New("npm is not installed: install Node.js 20 or later with npm, on Debian the packages nodejs and npm")
	}
	if err := os.MkdirAll(filepath.Dir(bundled), 0o750); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(filepath.Dir(bundled), "build-") // The same file system, so that the result can be moved.
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, sources); err != nil {
		return "", err
	}
	for _, command := range [][]string{
		{"npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=http", "--legacy-peer-deps"},
		{"npx", "--no-install", "esbuild", "panels.tsx", "--bundle", "--minify", "--outdir=bundled", `--define:process.env.NODE_ENV="production"`,
			"--loader:.svg=dataurl", "--loader:.ttf=dataurl", "--log-level=error"},
	} {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Dir = dir
		detail(strings.Join(command[:2], " "))
		out := progress.Lines(detail)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(command[:2], " "), err, out)
		}
	}
	return bundled, os.Rename(filepath.Join(dir, "bundled"), bundled)
}

// input is what panels.tsx reads. Times are in milliseconds.
type input struct {
	Title  string           `json:"title"`
	From   int64            `json:"from"`
	To     int64            `json:"to"`
	Width  int              `json:"width"`
	Panels []map[string]any `json:"panels"` // of the dashboard, each with its series
}

type series struct {
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Times  []int64           `json:"times"`
	Values []*float64        `json:"values"` // null where there is none
}

// input returns the panels of a dashboard with the results of their queries.
func (c renderCommand) input(ctx context.Context, source prometheusapi.API, spec dashboardSpec) (input, error) {
	built, err := spec.build()
	if err != nil {
		return input{}, err
	}
	raw, err := json.Marshal(built)
	if err != nil {
		return input{}, err
	}
	var d struct{ Panels []map[string]any }
	if err := json.Unmarshal(raw, &d); err != nil {
		return input{}, err
	}
	to := time.Now()
	in := input{Title: spec.title, From: to.Add(-c.Range).UnixMilli(), To: to.UnixMilli(), Width: pictureWidth, Panels: d.Panels}
	queries := map[string][]query{}
	for _, r := range spec.rows {
		for _, p := range r.panels {
			queries[r.title+"/"+p.title] = p.queries
		}
	}
	var row string
	for id, panel := range in.Panels {
		panel["id"] = id
		title, _ := panel["title"].(string)
		if panel["type"] == "row" {
			row = title
			continue
		}
		all := []series{}
		for _, q := range queries[row+"/"+title] {
			found, err := c.series(ctx, source, q, to)
			if err != nil {
				return input{}, fmt.Errorf("%s: %w", title, err)
			}
			all = append(all, found...)
		}
		panel["series"] = all
	}
	return in, nil
}

// series returns the series of a query.
func (c renderCommand) series(ctx context.Context, source prometheusapi.API, q query, to time.Time) ([]series, error) {
	expression := strings.NewReplacer("$__rate_interval", model.Duration(c.Rate).String(), "$namespace", c.Namespace, "$stack", c.Stack).Replace(q.promQL())
	result, _, _, err := source.QueryRange(ctx, expression, prometheusapi.Range{Start: to.Add(-c.Range), End: to, Step: c.Range / points})
	if err != nil {
		return nil, err
	}
	matrix, ok := result.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("%s is a %s, not a matrix", expression, result.Type())
	}
	var all []series
	for _, stream := range matrix {
		s := series{Labels: map[string]string{}}
		for name, value := range stream.Metric {
			s.Labels[string(name)] = string(value)
		}
		s.Name = legend(q.legend, s.Labels)
		for _, v := range stream.Values {
			s.Times = append(s.Times, int64(v.Timestamp))
			value := float64(v.Value)
			if value != value { // NaN is not JSON, and a gap.
				s.Values = append(s.Values, nil)
				continue
			}
			s.Values = append(s.Values, &value)
		}
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b series) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

var label = regexp.MustCompile(`\{\{\s*(\w+)\s*\}\}`)

// legend returns the name of a series from its template, as Grafana does.
func legend(template string, labels map[string]string) string {
	return label.ReplaceAllStringFunc(template, func(found string) string { return labels[label.FindStringSubmatch(found)[1]] })
}

// draw returns a picture of the page that shows in, in a tab of a browser.
func draw(browser context.Context, bundled string, in input) ([]byte, error) {
	encoded, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><meta charset="utf-8"><title>loading</title><link rel="stylesheet" href="panels.css"><div id="root"></div><script src="panels.js"></script>`)
	})
	pages.HandleFunc("GET /input.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(encoded) })
	pages.Handle("GET /", http.FileServer(http.Dir(bundled)))
	server := httptest.NewServer(pages)
	defer server.Close()
	return picture(browser, server.URL)
}

// startBrowser starts a headless Chromium with an empty profile. The returned context is that of
// the browser, which stop ends.
func startBrowser(ctx context.Context) (browser context.Context, stop func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, nil, errors.New("chromium is not installed: install Debian's package chromium")
	}
	profile, err := os.MkdirTemp("", "ecommerce-chromium-")
	if err != nil {
		return nil, nil, err
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.UserDataDir(profile),
		chromedp.WindowSize(pictureWidth, 900), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.WSURLReadTimeout(time.Minute))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has no sandbox for root
	}
	allocator, cancelAllocator := chromedp.NewExecAllocator(ctx, options...)
	browser, cancelBrowser := chromedp.NewContext(allocator)
	stop = func() {
		cancelBrowser()
		cancelAllocator()
		_ = os.RemoveAll(profile) // in the temporary folder
	}
	if _, err := chromedp.Run(browser, chromedp.Title()); err != nil {
		stop()
		return nil, nil, fmt.Errorf("start chromium: %w", err)
	}
	return browser, stop, nil
}

// picture opens a page in a tab, waits until it says that it is rendered, and returns a PNG of
// all of it.
func picture(browser context.Context, url string) ([]byte, error) {
	tab, closeTab := chromedp.NewContext(browser)
	defer closeTab()
	ctx, cancel := context.WithTimeout(tab, pageTimeout)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Navigate(url)); err != nil {
		return nil, err
	}
	title, err := chromedp.Run(ctx, chromedp.Poll[string](`document.title !== "loading" && document.title`))
	if err != nil {
		return nil, err
	}
	if title != "rendered" {
		return nil, errors.New(title)
	}
	return chromedp.Run(ctx, chromedp.FullScreenshot(100))
}
