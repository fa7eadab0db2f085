// Package route implements the gateway's route table: which paths and methods are
// forwarded to which upstream, who may call them, and within which limits. A path that is
// not in the table is not reachable from outside. The table is a YAML file; routes.yaml is
// built in.
package route

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"ecommerce-stack.dev/services/internal/authn"
)

//go:embed routes.yaml
var builtIn []byte

// BuiltIn returns the YAML of the table that is used when no file is configured.
func BuiltIn() []byte { return slices.Clone(builtIn) }

// Upstreams that a route may name.
var Upstreams = []string{"auth", "sales", "stock"}

// Limit classes that a route may name; their numbers are settings.
const (
	LimitDefault = "default"
	LimitLogin   = "login"
)

// Route is one entry of the table.
type Route struct {
	// Path is the path to match. A segment in braces matches any one segment.
	Path    string   `yaml:"path"`
	Methods []string `yaml:"methods"`
	// Upstream is the service that handles the requests, one of Upstreams.
	Upstream string `yaml:"upstream"`
	// Access is who may call.
	Access Access `yaml:"access"`
	// Limit is the class of the rate limit, LimitDefault if empty.
	Limit string `yaml:"limit"`
	// Timeout is how long the response may take to begin and, unless Stream is set, to end;
	// 20 seconds if zero.
	Timeout time.Duration `yaml:"timeout"`
	// Stream is set for responses without a foreseeable end.
	Stream bool `yaml:"stream"`
	// Cache describes how responses to GET are cached; nil is not at all.
	Cache *Cache `yaml:"cache"`
	// Changes is set if a successful request makes cached responses stale.
	Changes bool `yaml:"changes"`
	// Cookies are the names of the cookies that the service receives; others are removed.
	Cookies []string `yaml:"cookies"`
}

// Cache describes what identifies a cached response of a route, and what makes it stale.
type Cache struct {
	// Kind is Item, for a path that ends in the id of an item, or List.
	Kind string `yaml:"kind"`
	// Query has the query parameters with which a response is cached. With others it is not: it
	// changes without an event, or the service refuses it.
	Query []string `yaml:"query"`
}

// Kinds of Cache.
const (
	Item = "item"
	List = "list"
)

// Access is who may use a route: anyone, anyone with a token, or some roles.
type Access struct {
	Public bool
	// Roles that may call if Public is not set; none allows every role.
	Roles []authn.Role

	given bool
}

// UnmarshalYAML reads "public", "any", or a list of roles.
func (a *Access) UnmarshalYAML(n *yaml.Node) error {
	a.given = true
	if n.Kind == yaml.ScalarNode {
		switch n.Value {
		case "public":
			a.Public = true
			return nil
		case "any":
			return nil
		}
		return fmt.Errorf("line %d: access %q is not public, any or a list of roles", n.Line, n.Value)
	}
	if err := n.Decode(&a.Roles); err != nil {
		return err
	}
	for _, r := range a.Roles {
		if !r.Valid() {
			return fmt.Errorf("line %d: role %q is unknown", n.Line, r)
		}
	}
	if len(a.Roles) == 0 {
		return fmt.Errorf("line %d: access is an empty list", n.Line)
	}
	return nil
}

const defaultTimeout = 20 * time.Second

// maxTimeout bounds the timeout of a route. Clients and load balancers commonly give up
// after a minute.
const maxTimeout = 55 * time.Second

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Parse returns the table in a YAML document. The error names every violation.
func Parse(body []byte) (*Table, error) {
	var file struct {
		Routes []*Route `yaml:"routes"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(body))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	if len(file.Routes) == 0 {
		return nil, errors.New("read the routes: there are none")
	}
	table := &Table{root: &node{}}
	var broken []error
	for i, r := range file.Routes {
		err := r.complete()
		if err == nil {
			err = table.add(r)
		}
		if err != nil {
			broken = append(broken, fmt.Errorf("route %d (%s): %w", i+1, r.Path, err))
		}
	}
	if err := errors.Join(broken...); err != nil {
		return nil, fmt.Errorf("read the routes: %w", err)
	}
	return table, nil
}

// complete fills in defaults and checks the rules of one route.
func (r *Route) complete() error {
	if r.Limit == "" {
		r.Limit = LimitDefault
	}
	if r.Timeout == 0 {
		r.Timeout = defaultTimeout
	}
	var broken []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			broken = append(broken, fmt.Errorf(format, args...))
		}
	}
	check(strings.HasPrefix(r.Path, "/") && canonical(r.Path), "path is not absolute and canonical")
	check(len(r.Methods) > 0, "no methods")
	for _, m := range r.Methods {
		check(slices.Contains(methods, m), "method %q is not one of %v", m, methods)
	}
	check(slices.Contains(Upstreams, r.Upstream), "upstream %q is not one of %v", r.Upstream, Upstreams)
	check(r.Access.given, "no access")
	check(r.Limit == LimitDefault || r.Limit == LimitLogin, "limit %q is not %s or %s", r.Limit, LimitDefault, LimitLogin)
	check(r.Timeout > 0 && r.Timeout <= maxTimeout, "timeout is not above 0 and at most %s", maxTimeout)
	if c := r.Cache; c != nil {
		check(c.Kind == Item || c.Kind == List, "cache kind %q is not %s or %s", c.Kind, Item, List)
		check(c.Kind != Item || strings.HasSuffix(r.Path, "}"), "the path of a cached item does not end in its id")
		check(r.Access.Public && slices.Equal(r.Methods, []string{http.MethodGet}) && !r.Stream, "only public GETs that are no streams are cached")
	}
	return errors.Join(broken...)
}

func canonical(path string) bool {
	for segment := range strings.SplitSeq(path[1:], "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return true
}
