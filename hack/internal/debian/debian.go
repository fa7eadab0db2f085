// Package debian installs missing Debian packages and prevents them from starting
// daemons.
package debian

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"ecommerce-stack.dev/hack/internal/progress"
)

// Package is a required Debian package.
type Package struct {
	Name string
	// Has lists commands and absolute paths. If all of them exist, the package
	// is not needed. If Has is empty, dpkg must report it as installed.
	Has []string
}

// Packages returns packages with the names and without Has.
func Packages(names ...string) []Package {
	packages := make([]Package, 0, len(names))
	for _, name := range names {
		packages = append(packages, Package{Name: name})
	}
	return packages
}

// Missing returns the names of the packages that are not installed.
func Missing(packages []Package) []string {
	var missing []string
	for _, p := range packages {
		if !p.installed() {
			missing = append(missing, p.Name)
		}
	}
	return missing
}

func (p Package) installed() bool {
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

// Command returns the command line that installs the packages.
func Command(names []string) string {
	return "apt-get install -y --no-install-recommends " + strings.Join(names, " ")
}

// CanInstall returns an error, with the fix, if this process cannot install
// packages: apt-get does not exist or the user is not root.
func CanInstall(names []string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("missing %s, and this machine has no apt-get: install the same programs with your package manager, then run this command again", strings.Join(names, ", "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("missing %s: run\n\n  sudo %s\n\nthen run this command again", strings.Join(names, ", "), Command(names))
	}
	return nil
}

// Install installs the packages that are missing. It updates the package lists
// only if the installation fails without. It calls detail with the progress.
func Install(packages []Package, detail func(string)) error {
	missing := Missing(packages)
	if len(missing) == 0 {
		return nil
	}
	if err := CanInstall(missing); err != nil {
		return err
	}
	allow, err := denyDaemonStarts(policyFile)
	if err != nil {
		return fmt.Errorf("prevent packages from starting daemons: %w", err)
	}
	defer allow()

	install := append([]string{"install", "-y", "--no-install-recommends"}, missing...)
	if apt(detail, install...) == nil {
		return nil
	}
	if err := apt(detail, "update"); err != nil {
		return err
	}
	return apt(detail, install...)
}

// apt runs apt-get and calls detail with the lines of its output, which have the sizes of
// downloads.
func apt(detail func(string), args ...string) error {
	cmd := exec.Command("apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8")
	out := progress.Lines(detail)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
