// Command deps installs the given Debian packages, or those of the given groups, if they
// are missing:
//
//	go run ./hack/deps integration nodejs
//
// No package starts a daemon. Where it cannot install (not root, not Debian) it prints the
// command to run and fails.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"ecommerce-stack.dev/hack/internal/bare"
	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/progress"
)

// groups are the packages by purpose.
var groups = map[string][]debian.Package{
	"integration": append(debian.Packages("mariadb-server-core", "mariadb-client-core", "rabbitmq-server"),
		debian.Package{Name: "chromium", Has: []string{"chromium"}}, debian.Package{Name: "python3", Has: []string{"python3"}}),
	"cluster": bare.Packages,
	"race":    append(debian.Packages("libc6-dev"), debian.Package{Name: "gcc", Has: []string{"gcc"}}),
	"bench":   append(debian.Packages("wrk", "nginx-light", "haproxy", "varnish"), debian.Package{Name: "git", Has: []string{"git"}}),
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintf(os.Stderr, "usage: deps <package or group>...\ngroups: %s\n", strings.Join(groupNames(), ", "))
		os.Exit(2)
	}
	if err := install(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "deps:", err)
		os.Exit(1)
	}
}

func install(args []string) error {
	packages := expand(args)
	missing := debian.Missing(packages)
	if len(missing) == 0 {
		return nil
	}
	if err := debian.CanInstall(missing); err != nil {
		return err
	}
	what := "Install " + strings.Join(missing, ", ")
	return progress.New(os.Stderr).Run(what, func(detail func(string)) error {
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

func groupNames() []string {
	names := make([]string, 0, len(groups))
	for name := range groups {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
