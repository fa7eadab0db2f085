package debian

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// Mirror returns the address that this machine's apt fetches Debian from.
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
	if err := apt("update"); err != nil { // without lists apt knows no origin
		return "", err
	}
	if targets, err = list(); err != nil {
		return "", err
	}
	if mirror := parseMirror(targets); mirror != "" {
		return mirror, nil
	}
	return "", errors.New("apt has no source that says its origin is Debian: add one to /etc/apt/sources.list")
}

func parseMirror(targets string) string {
	for line := range strings.Lines(targets) {
		if address, ok := strings.CutPrefix(strings.TrimSpace(line), "Debian|Debian|"); ok {
			return address
		}
	}
	return ""
}
