package debian

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
)

// policyFile is asked by Debian's packages whether they may start a daemon
// (invoke-rc.d(8)); 101 means no.
const policyFile = "/usr/sbin/policy-rc.d"

var policy = []byte("#!/bin/sh\n# Made by ecommerce-stack while it installs packages.\nexit 101\n")

// denyDaemons puts the policy file there and returns the function that takes
// it away. Somebody else's is left alone; one of ours that a killed run left
// behind is used and then removed.
func denyDaemons(path string) (allow func(), err error) {
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
