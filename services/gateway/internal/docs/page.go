package docs

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/swaggest/swgui/v5emb"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"
)

// PagePath is where the page for people is, PageAssets what it loads.
const (
	PagePath   = "/docs"
	PageAssets = PagePath + "/*"
)

// Page shows the document at /openapi.json to people and lets them try it. All that
// it loads is in this program: it works without the internet.
func Page() (func(*fasthttp.RequestCtx) error, error) {
	ui := v5emb.New("E-commerce stack", "/openapi.json", PagePath)
	var page recorded
	ui.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: PagePath}})
	hashes := scriptHashes(page.Bytes())
	if hashes == "" {
		return nil, errors.New("the page of the documentation has no script")
	}
	policy := "default-src 'none'; script-src 'self'" + hashes + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	serve := fasthttpadaptor.NewFastHTTPHandler(ui)
	return func(ctx *fasthttp.RequestCtx) error {
		serve(ctx)
		ctx.Response.Header.Set(fasthttp.HeaderContentSecurityPolicy, policy)
		ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "public, max-age=3600")
		return nil
	}, nil
}

// recorded is a response that is only looked at.
type recorded struct{ bytes.Buffer }

func (*recorded) Header() http.Header { return http.Header{} }
func (*recorded) WriteHeader(int)     {}

// scriptHashes allows the scripts that are written in the page itself (Content
// Security Policy Level 3, section 8.3), and no others.
func scriptHashes(page []byte) string {
	const begin, end = "<script>", "</script>"
	var b strings.Builder
	for {
		_, rest, ok := bytes.Cut(page, []byte(begin))
		script, after, closed := bytes.Cut(rest, []byte(end))
		if !ok || !closed {
			return b.String()
		}
		sum := sha256.Sum256(script)
		b.WriteString(" 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'")
		page = after
	}
}
