package docs

import (
	"crypto/sha256"
	_ "embed" // for style and behavior
	"encoding/base64"
	"errors"
	"html/template"
	"regexp"
	"strings"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"ecommerce-stack.dev/services/internal/static"
)

// PagePath is where the page for people is, PageAssets what it loads.
const (
	PagePath   = "/docs"
	PageAssets = PagePath + "/*"
)

//go:embed page.css
var style template.HTML

//go:embed page.js
var behavior template.HTML

// Page shows the document at /openapi.json to people and lets them try it. All that
// it loads is in this program: it works without the internet.
func Page() (func(*fasthttp.RequestCtx) error, error) {
	serve := fasthttpadaptor.NewFastHTTPHandler(v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "E-commerce stack", SwaggerJSON: "/openapi.json", BasePath: PagePath, AppendHTML: "<script>" + behavior + "</script>",
		AppendHead: `<meta name="viewport" content="width=device-width, initial-scale=1"><style>` + style + "</style>",
		SettingsUI: map[string]string{"filter": "true", "plugins": "[SwaggerUIBundle.plugins.DownloadUrl, search, plainPaths]"},
	}))
	var page fasthttp.RequestCtx
	page.Init(&fasthttp.Request{}, nil, nil)
	page.Request.SetRequestURI(PagePath)
	serve(&page)
	hashes := scriptHashes(page.Response.Body())
	if hashes == "" {
		return nil, errors.New("the page of the documentation has no script")
	}
	policy := "default-src 'none'; script-src 'self'" + hashes + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	document := static.New("text/html; charset=utf-8", page.Response.Body())
	return func(ctx *fasthttp.RequestCtx) error {
		ctx.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, policy)
		if string(ctx.Path()) == PagePath {
			return document.Serve(ctx)
		}
		static.Serve(ctx, serve)
		ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "public, max-age=3600")
		return nil
	}, nil
}

// Redirect leads from the root of the gateway to the page.
func Redirect(ctx *fasthttp.RequestCtx) error {
	ctx.Response.Header.Set(fasthttp.HeaderLocation, PagePath)
	ctx.Response.SetStatusCode(fasthttp.StatusFound)
	return nil
}

var script = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// scriptHashes allows the scripts that are written in the page itself (Content
// Security Policy Level 3, section 8.3), and no others.
func scriptHashes(page []byte) string {
	var b strings.Builder
	for _, found := range script.FindAllSubmatch(page, -1) {
		sum := sha256.Sum256(found[1])
		b.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
	}
	return b.String()
}
