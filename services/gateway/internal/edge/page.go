package edge

import (
	"net/http"
	"strings"
)

// page is what the gateway answers itself, to anyone.
type page struct {
	http.Handler
	pattern string
	path    string
	below   bool
}

const pageMethods = http.MethodGet + ", " + http.MethodHead + ", " + http.MethodOptions

// Page gives a path, or with "/*" at its end all that is below it, a handler of GET
// and HEAD within the default limit of each address. A page goes before a route.
// Pages are added before the first request.
func (e *Edge) Page(pattern string, h http.Handler) {
	path, below := strings.CutSuffix(pattern, "*")
	e.pages = append(e.pages, page{Handler: h, pattern: pattern, path: path, below: below})
}

func (p *page) at(path string) bool {
	if p.below {
		return strings.HasPrefix(path, p.path)
	}
	return path == p.path
}
