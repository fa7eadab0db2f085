package measure

import "strings"

// Twin is the name of a measurement, or of anything else, of an earlier revision: it is
// measured once more, as it was at a commit. Without a commit it is the present one.
func Twin(name, commit string) string {
	if commit == "" {
		return name
	}
	return name + "@" + commit
}

// Present takes the name of a twin apart into that of the present measurement and the
// commit, which is "" for a name that is no twin's.
func Present(name string) (present, commit string) {
	present, commit, _ = strings.Cut(name, "@")
	return present, commit
}
