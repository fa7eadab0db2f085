package main

import (
	"os"
	"strings"

	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/progress"
)

// groups are the packages by purpose.
var groups = map[string][]debian.Package{
	"integration": append(debian.Packages("mariadb-server-core", "mariadb-client-core", "rabbitmq-server"),
		debian.Package{Name: "chromium", Has: []string{"chromium"}}, debian.Package{Name: "python3", Has: []string{"python3"}},
		debian.Package{Name: "prometheus", Has: []string{"promtool"}}),
	"race":  append(debian.Packages("libc6-dev"), debian.Package{Name: "gcc", Has: []string{"gcc"}}),
	"bench": append(debian.Packages("wrk", "nginx-light", "haproxy", "varnish"), debian.Package{Name: "git", Has: []string{"git"}}),
}

// packagesCommand installs the given Debian packages, or those of the given groups, if they
// are missing. Where it cannot install (not root, not Debian) it fails with the command to
// run.
type packagesCommand struct {
	Names []string `arg:"" help:"Packages or groups: integration, race, bench."`
}

// Run installs what is missing.
func (c packagesCommand) Run() error {
	packages := expand(c.Names)
	missing := debian.Missing(packages)
	if len(missing) == 0 {
		return nil
	}
	if err := debian.CanInstall(missing); err != nil {
		return err
	}
	return progress.New(os.Stderr).Run("Install "+strings.Join(missing, ", "), func(detail func(string)) error {
		return debian.Install(packages, detail)
	})
}

// expand replaces the names of groups by their packages.
func expand(args []string) []debian.Package {
	var packages []debian.Package
	for _, arg := range args {
		if group, ok := groups[arg]; ok {
			packages = append(packages, group...)
		} else {
			packages = append(packages, debian.Package{Name: arg})
		}
	}
	return packages
}
