// Package debian installs Debian packages that are missing, and only those,
// without letting them start daemons on the machine.
package debian

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Package is something to have, from Debian when it is not there already.
type Package struct {
	Name string
	// Has lists commands and absolute paths that show the thing is there,
	// whoever installed it. Without any, Debian's package itself must be.
	Has []string
}

// Packages names plain Debian packages.
func Packages(names ...string) []Package {
	packages := make([]Package, 0, len(names))
	for _, name := range names {
		packages = append(packages, Package{Name: name})
	}
	return packages
}

// Missing returns the names of the packages that are not there.
func Missing(packages []Package) []string {
	var missing []string
	for _, p := range packages {
		if !p.there() {
			missing = append(missing, p.Name)
		}
	}
	return missing
}

func (p Package) there() bool {
	if len(p.Has) == 0 {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status}", p.Name).Output()
		return err == nil && string(out) == "installed"
	}
	for _, name := range p.Has {
		if filepath.IsAbs(name) {
			if _, err := os.Stat(name); err != nil {
				return false
			}
		} else if _, err := exec.LookPath(name); err != nil {
			return false
		}
	}
	return true
}

// Command is what a person would type to install the packages.
func Command(names []string) string {
	return "apt-get install -y --no-install-recommends " + strings.Join(names, " ")
}

// CanInstall says why packages cannot be installed here, and what to do then.
func CanInstall(names []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing %s, and this is no Debian to install them on: install what they hold by your system's means, then run this again", strings.Join(names, ", "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing %s: run\n\n  sudo %s\n\nthen run this again", strings.Join(names, ", "), Command(names))
	}
	return nil
}

// Install installs the packages that are missing. The package lists are
// fetched anew only when the install fails without.
func Install(packages []Package, detail func(string)) error {
	missing := Missing(packages)
	if len(missing) == 0 {
		return nil
	}
	if err := CanInstall(missing); err != nil {
		return err
	}
	allow, err := denyDaemons(policyFile)
	if err != nil {
		return fmt.Errorf("keep new packages from starting daemons: %w", err)
	}
	defer allow()

	detail(strings.Join(missing, " "))
	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if apt(install...) == nil {
		return nil
	}
	detail("fetching the package lists")
	if err := apt("update"); err != nil {
		return err
	}
	detail(strings.Join(missing, " "))
	return apt(install...)
}

func apt(args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, tail(out.String(), 15))
	}
	return nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
