// Package route is the gateway's table: which paths and methods it passes on, to
// whom, for whom, and within which limits. What is not in the table does not exist
// outside. The table is a YAML file; routes.yaml is the one built in.
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

// BuiltIn is the table that is used when no file is given.
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
	// Path has segments in braces that stand for any one segment.
	Path    string   `yaml:"path"`
	Methods []string `yaml:"methods"`
	// Upstream answers.
	Upstream string `yaml:"upstream"`
	// Access is who may call.
	Access Access `yaml:"access"`
	// Limit is the class of the rate limit, LimitDefault if empty.
	Limit string `yaml:"limit"`
	// Timeout until the answer begins and, unless Stream, until it is complete.
	Timeout time.Duration `yaml:"timeout"`
	// Stream is for answers without a foreseeable end.
	Stream bool `yaml:"stream"`
	// Cache keeps answers to GET; nil keeps none.
	Cache *Cache `yaml:"cache"`
	// Changes is set if a success makes what is cached stale.
	Changes bool `yaml:"changes"`
	// Cookies are the names of the cookies that the service receives; others are removed.
	Cookies []string `yaml:"cookies"`
}

// Cache says how answers of a route are told apart and how they become stale.
type Cache struct {
	// Kind is "item", whose path ends in the id of what it is about, or "list".
	Kind string `yaml:"kind"`
	// Query has the parameters that matter. Others are not passed on.
	Query []string `yaml:"query"`
	// Bypass has the parameters with which an answer depends on what no event tells.
	Bypass []string `yaml:"bypass"`
}

// Kinds of Cache.
const (
	Item = "item"
	List = "list"
)

// Access is who may use a route: anyone, anyone with a token, or some roles.
type Access struct {
	Public bool
	// Roles that may call when it is not Public; none are all.
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

// maxTimeout is below the server's own limit on writing an answer.
const maxTimeout = 55 * time.Second

var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// Parse reads a table. The error names every rule that is broken.
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
		slices.Sort(c.Query)
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
