package debian

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
)

// policyFile is the script that decides whether a package may start a daemon
// (invoke-rc.d(8)); the exit status 101 forbids it.
const policyFile = "/usr/sbin/policy-rc.d"

var policy = []byte("#!/bin/sh\n# Made by ecommerce-stack while it installs packages.\nexit 101\n")

// denyDaemonStarts writes the policy file and returns a function that removes it.
// It does not change a file of another program. A file that an interrupted run
// left behind is used and then removed.
func denyDaemonStarts(path string) (allow func(), err error) {
	existing, err := os.ReadFile(path)
	switch {
	case err == nil && !bytes.Equal(existing, policy):
		return func() {}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := os.WriteFile(path, policy, 0o755); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(path) }, nil
}
