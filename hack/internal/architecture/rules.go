// Package architecture defines which packages may import which others. Its test reads the
// import graph and fails on a violation.
package architecture

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Root is the prefix of our import paths.
const Root = "ecommerce-stack.dev/"

// Package is a Go package with its imports.
type Package struct {
	ImportPath string
	Name       string
	Imports    []string
}

// adapters are the packages of a service that may use HTTP, SQL or AMQP. Every other package
// in the internal folder of a service is its domain.
var adapters = []string{"mysql", "httpapi", "messaging"}

// gateway is the service without a domain: all of its packages may use HTTP.
const gateway = "gateway"

// technologies are what a domain must not import: packages of the standard library, modules,
// and our own packages that use them.
var technologies = []string{
	"net/http", "database/sql", "gorm.io/", "github.com/go-sql-driver/", "github.com/rabbitmq/", "github.com/danielgtaylor/huma/",
	"github.com/go-chi/", Root + "services/internal/database", Root + "services/internal/broker", Root + "services/internal/outbox",
	Root + "services/internal/server", Root + "services/internal/openapi", Root + "services/internal/problem",
}

// nondescript are package names without a meaning.
var nondescript = []string{"common", "util", "utils", "helper", "helpers", "shared", "pkg", "misc", "lib"}

// Violations returns the violations of the rules, each as a sentence.
func Violations(packages []Package) []string {
	var broken []string
	for _, p := range packages {
		if slices.Contains(nondescript, p.Name) || slices.Contains(nondescript, path.Base(p.ImportPath)) {
			broken = append(broken, fmt.Sprintf("%s has a nondescript name", p.ImportPath))
		}
		for _, imported := range p.Imports {
			if why := forbidden(p.ImportPath, imported); why != "" {
				broken = append(broken, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
			}
		}
	}
	return broken
}

// forbidden returns why importer must not import imported, or "".
func forbidden(importer, imported string) string {
	service, pkg := serviceOf(importer)
	other, _ := serviceOf(imported)
	switch {
	case service != "" && other != "" && other != service:
		return "a service must not import another service; shared definitions are in services/event"
	case service == "" && strings.HasPrefix(importer, Root+"services/") && other != "":
		return "shared packages must not import a service"
	case isDomain(service, pkg) && (usesTechnology(imported) || isAdapter(imported)):
		return "the domain must not use HTTP, SQL or AMQP"
	case service != "" && slices.Contains(adapters, pkg) && isAdapter(imported):
		return "an adapter must not import another adapter; main connects them"
	case within(importer, "operator") && within(imported, "services") && !within(imported, "services/event") && !within(imported, "services/loglevel"):
		return "the operator may import only services/event and services/loglevel of the services"
	case within(importer, "services") && (within(imported, "operator") || within(imported, "charts") || within(imported, "hack")):
		return "services must not import their deployment"
	case (within(importer, "services/event") || within(importer, "services/loglevel")) && strings.HasPrefix(imported, Root):
		return "services/event and services/loglevel must not import our other packages"
	case within(importer, "charts") && strings.HasPrefix(imported, Root) && !within(imported, "charts"):
		return "charts must not import our other packages"
	case within(importer, "operator/api") && strings.HasPrefix(imported, Root) && !within(imported, "operator/api"):
		return "the types of the resource must not import our other packages"
	}
	return ""
}

func within(importPath, folder string) bool {
	return importPath == Root+folder || strings.HasPrefix(importPath, Root+folder+"/")
}

// serviceOf splits the import path of a package of a service into the service and the package
// in its internal folder, "" for main.
func serviceOf(importPath string) (service, pkg string) {
	rest, ok := strings.CutPrefix(importPath, Root+"services/")
	if !ok {
		return "", ""
	}
	service, rest, _ = strings.Cut(rest, "/")
	if service == "internal" || service == "event" || service == "loglevel" {
		return "", ""
	}
	pkg, _, _ = strings.Cut(strings.TrimPrefix(rest, "internal/"), "/")
	return service, pkg
}

func isDomain(service, pkg string) bool {
	return service != "" && service != gateway && pkg != "" && !slices.Contains(adapters, pkg)
}

func isAdapter(importPath string) bool {
	service, pkg := serviceOf(importPath)
	return service != "" && slices.Contains(adapters, pkg)
}

func usesTechnology(imported string) bool {
	return slices.ContainsFunc(technologies, func(t string) bool {
		return imported == strings.TrimSuffix(t, "/") || strings.HasPrefix(imported, strings.TrimSuffix(t, "/")+"/")
	})
}
