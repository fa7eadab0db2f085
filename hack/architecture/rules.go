// Package architecture holds the rules of the house: which room may import which.
// Its test reads the import graph and fails when one is broken.
package architecture

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// Root of every import path of ours.
const Root = "ecommerce-stack.dev/"

// Package is what the rules need to know of a Go package.
type Package struct {
	ImportPath string
	Name       string
	Imports    []string
}

// adapters are the rooms of a service that know HTTP, SQL or AMQP. Any other room
// below a service's internal folder is its domain.
var adapters = []string{"mysql", "httpapi", "messaging"}

// gateway has no domain: all of it is about HTTP.
const gateway = "gateway"

// technologies that a domain does not know: standard library, modules, and our own
// plumbing over them.
var technologies = []string{
	"net/http", "database/sql", "gorm.io/", "github.com/go-sql-driver/", "github.com/rabbitmq/", "github.com/danielgtaylor/huma/",
	"github.com/go-chi/", Root + "services/internal/database", Root + "services/internal/broker", Root + "services/internal/outbox",
	Root + "services/internal/inbox", Root + "services/internal/server", Root + "services/internal/openapi", Root + "services/internal/problem",
}

// nondescript names say nothing about what a package holds.
var nondescript = []string{"common", "util", "utils", "helper", "helpers", "shared", "pkg", "misc", "lib"}

// Violations of the rules among packages, each as a sentence.
func Violations(packages []Package) []string {
	var broken []string
	for _, p := range packages {
		if slices.Contains(nondescript, p.Name) || slices.Contains(nondescript, path.Base(p.ImportPath)) {
			broken = append(broken, fmt.Sprintf("%s has a name that does not say what it holds", p.ImportPath))
		}
		for _, imported := range p.Imports {
			if why := forbidden(p.ImportPath, imported); why != "" {
				broken = append(broken, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
			}
		}
	}
	return broken
}

// forbidden says why importer may not import imported, or "".
func forbidden(importer, imported string) string {
	service, room := serviceOf(importer)
	other, _ := serviceOf(imported)
	switch {
	case service != "" && other != "" && other != service:
		return "a service never imports another one; what they must agree on is in services/event"
	case service == "" && strings.HasPrefix(importer, Root+"services/") && other != "":
		return "what services share does not know a service"
	case isDomain(service, room) && (usesTechnology(imported) || isAdapter(imported)):
		return "the domain knows no HTTP, SQL or AMQP"
	case service != "" && slices.Contains(adapters, room) && isAdapter(imported):
		return "an adapter knows the domain, not another adapter; main wires them"
	case within(importer, "operator") && within(imported, "services") && !within(imported, "services/event"):
		return "the operator shares only services/event with the services"
	case within(importer, "services") && (within(imported, "operator") || within(imported, "charts") || within(imported, "hack")):
		return "the services know nothing of how they are deployed"
	case within(importer, "services/event") && strings.HasPrefix(imported, Root):
		return "the vocabulary depends on nothing of ours"
	case within(importer, "charts") && strings.HasPrefix(imported, Root) && !within(imported, "charts"):
		return "the charts depend on nothing of ours"
	case within(importer, "operator/api") && strings.HasPrefix(imported, Root) && !within(imported, "operator/api"):
		return "the resource's types are light: they depend on nothing of ours"
	}
	return ""
}

func within(importPath, folder string) bool {
	return importPath == Root+folder || strings.HasPrefix(importPath, Root+folder+"/")
}

// serviceOf splits the path of a package in a service into the service and the room
// below its internal folder, "" for main.
func serviceOf(importPath string) (service, room string) {
	rest, ok := strings.CutPrefix(importPath, Root+"services/")
	if !ok {
		return "", ""
	}
	service, rest, _ = strings.Cut(rest, "/")
	if service == "internal" || service == "event" {
		return "", ""
	}
	room, _, _ = strings.Cut(strings.TrimPrefix(rest, "internal/"), "/")
	return service, room
}

func isDomain(service, room string) bool {
	return service != "" && service != gateway && room != "" && !slices.Contains(adapters, room)
}

func isAdapter(importPath string) bool {
	service, room := serviceOf(importPath)
	return service != "" && slices.Contains(adapters, room)
}

func usesTechnology(imported string) bool {
	return slices.ContainsFunc(technologies, func(t string) bool {
		return imported == strings.TrimSuffix(t, "/") || strings.HasPrefix(imported, strings.TrimSuffix(t, "/")+"/")
	})
}
