package debian

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Mirror returns the URL of the Debian mirror in this machine's apt sources.
func Mirror() (string, error) {
	list := func() (string, error) {
		out, err := exec.Command("apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages").Output()
		if err != nil {
			return "", fmt.Errorf("apt-get indextargets: %w", err)
		}
		return string(out), nil
	}
	targets, err := list()
	if err != nil {
		return "", err
	}
	if mirror := parseMirror(targets); mirror != "" {
		return mirror, nil
	}
	if err := apt(func(string) {}, "update"); err != nil { // apt reads the origin from the package lists
		return "", err
	}
	if targets, err = list(); err != nil {
		return "", err
	}
	if mirror := parseMirror(targets); mirror != "" {
		return mirror, nil
	}
	return "", errors.New("find a Debian mirror: apt has no source with the origin Debian: add one to /etc/apt/sources.list")
}

func parseMirror(targets string) string {
	for line := range strings.Lines(targets) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|Debian|"); ok {
			return address
		}
	}
	return ""
}
