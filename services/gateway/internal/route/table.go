package route

import (
	"fmt"
	"net/http"
	"strings"
)

// Table finds the route of a request.
type Table struct{ root *node }

// node is a segment of the paths that begin alike.
type node struct {
	fixed map[string]*node
	any   *node
	// methods of the path that ends here; nil when none does.
	methods map[string]*Route
	allow   string
}

func (t *Table) add(r *Route) error {
	n := t.root
	for segment := range strings.SplitSeq(r.Path[1:], "/") {
		n = n.child(segment)
	}
	if n.methods == nil {
		n.methods = map[string]*Route{}
	}
	for _, m := range r.Methods {
		if _, twice := n.methods[m]; twice {
			return fmt.Errorf("%s is there twice", m)
		}
		n.methods[m] = r
		if m == http.MethodGet {
			n.methods[http.MethodHead] = r
		}
	}
	n.allow = allow(n.methods)
	return nil
}

func (n *node) child(segment string) *node {
	if strings.HasPrefix(segment, "{") && strings.HasSuffix(segment, "}") {
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	if n.fixed == nil {
		n.fixed = map[string]*node{}
	}
	if n.fixed[segment] == nil {
		n.fixed[segment] = &node{}
	}
	return n.fixed[segment]
}

func allow(routes map[string]*Route) string {
	var names []string
	for _, m := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if _, ok := routes[m]; ok {
			names = append(names, m)
		}
	}
	return strings.Join(append(names, http.MethodOptions), ", ")
}

// Match is the result of a lookup. Route is nil if the path has no route for the method.
// Allow has the methods of the path, for an Allow field (RFC 9110, section 10.2.1).
type Match struct {
	Route *Route
	Allow string
}

// Match returns the route of a method and a decoded path. known is false if no method has
// the path. A fixed segment takes precedence over a variable one. Match allocates nothing.
func (t *Table) Match(method, path string) (m Match, known bool) {
	if path == "" || path[0] != '/' {
		return Match{}, false
	}
	n := t.root.find(path[1:])
	if n == nil {
		return Match{}, false
	}
	return Match{Route: n.methods[method], Allow: n.allow}, true
}

func (n *node) find(rest string) *node {
	segment, rest, more := strings.Cut(rest, "/")
	if segment == "" || segment == "." || segment == ".." {
		return nil
	}
	for _, next := range [2]*node{n.fixed[segment], n.any} {
		if next == nil {
			continue
		}
		if !more {
			if next.methods != nil {
				return next
			}
			continue
		}
		if found := next.find(rest); found != nil {
			return found
		}
	}
	return nil
}

// Routes calls visit with every route of the table, once each.
func (t *Table) Routes(visit func(*Route)) {
	seen := map[*Route]bool{}
	var walk func(*node)
	walk = func(n *node) {
		if n == nil {
			return
		}
		for _, r := range n.methods {
			if !seen[r] {
				seen[r] = true
				visit(r)
			}
		}
		for _, next := range n.fixed {
			walk(next)
		}
		walk(n.any)
	}
	walk(t.root)
}
