package measure

import "strings"

// Twin returns the name of the same measurement, or peer, at an earlier commit. Without a
// commit it returns the name unchanged.
func Twin(name, commit string) string {
	if commit == "" {
		return name
	}
	return name + "@" + commit
}

// Present splits the name of a twin into the name of the present measurement and the
// commit, which is "" for the name of a present measurement.
func Present(name string) (present, commit string) {
	present, commit, _ = strings.Cut(name, "@")
	return present, commit
}
