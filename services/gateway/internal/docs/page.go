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
)

// PagePath is where the page for people is, PageAssets what it loads.
const (
	PagePath   = "/docs"
	PageAssets = PagePath + "/*"
)

// Page shows the document at /openapi.json to people and lets them try it. All that
// it loads is in this program: it works without the internet.
func Page() (http.Handler, error) {
	ui := v5emb.New("E-commerce stack", "/openapi.json", PagePath)
	var page kept
	ui.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: PagePath}})
	hashes := scriptHashes(page.Bytes())
	if hashes == "" {
		return nil, errors.New("the page of the documentation has no script")
	}
	policy := "default-src 'none'; script-src 'self'" + hashes + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Cache-Control", "public, max-age=3600")
		ui.ServeHTTP(w, r)
	}), nil
}

// kept is an answer that nobody is sent.
type kept struct{ bytes.Buffer }

func (*kept) Header() http.Header { return http.Header{} }
func (*kept) WriteHeader(int)     {}

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
