package main

import (
	"os"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/progress"
)

// The Debian packages of the programs that suites run.
var (
	servers  = debian.Packages("mariadb-server-core", "mariadb-client-core", "rabbitmq-server")
	python   = debian.Package{Name: "python3", Has: []string{"python3"}}
	browser  = debian.Package{Name: "chromium", Has: []string{"chromium"}}
	promtool = debian.Package{Name: "prometheus", Has: []string{"promtool"}}
	proxies  = append(debian.Packages("wrk", "nginx-light", "haproxy", "varnish"), debian.Package{Name: "git", Has: []string{"git"}})
	// mariadb-server has the scripts for joining nodes, and iproute2 makes their network.
	galera   = append(debian.Packages("galera-4", "mariadb-server", "mariadb-backup"), debian.Package{Name: "iproute2", Has: []string{"ip"}})
	firewall = []debian.Package{{Name: "iptables", Has: []string{"iptables"}}, {Name: "ipset", Has: []string{"ipset"}}}
	node     = []debian.Package{{Name: "nodejs", Has: []string{"node"}}, {Name: "npm", Has: []string{"npm"}}}
	compiler = append(debian.Packages("libc6-dev"), debian.Package{Name: "gcc", Has: []string{"gcc"}})
)

// groups are the packages by the target of the Makefile that needs them. A test compares them
// with what the suites run.
var groups = map[string][]debian.Package{
	"dev":             servers,
	"integration":     slices.Concat(servers, []debian.Package{python}),
	"system":          slices.Concat(servers, []debian.Package{python}),
	"chaos":           servers,
	"fuzz":            servers,
	"race":            slices.Concat(servers, []debian.Package{python}, compiler),
	"operator":        servers,
	"external":        slices.Concat(servers, []debian.Package{browser, promtool}, node, proxies),
	"dashboards-test": slices.Concat(servers, []debian.Package{promtool}),
	"nightly":         slices.Concat(firewall, galera, []debian.Package{browser}),
	"bench":           slices.Concat(servers, proxies),
}

// packagesCommand installs the given Debian packages, or those of the given groups, if they
// are missing. Where it cannot install (not root, not Debian) it fails with the command to
// run.
type packagesCommand struct {
	Names []string `arg:"" optional:"" help:"Packages, or targets of the Makefile, whose packages are then installed; all targets by default."`
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

// expand returns the packages, each once, of names and groups, or of all groups.
func expand(names []string) []debian.Package {
	var all []debian.Package
	add := func(packages ...debian.Package) {
		for _, p := range packages {
			if !slices.ContainsFunc(all, func(known debian.Package) bool { return known.Name == p.Name }) {
				all = append(all, p)
			}
		}
	}
	if len(names) == 0 {
		for _, group := range groups {
			add(group...)
		}
	}
	for _, name := range names {
		if group, ok := groups[name]; ok {
			add(group...)
		} else {
			add(debian.Package{Name: name})
		}
	}
	return all
}
