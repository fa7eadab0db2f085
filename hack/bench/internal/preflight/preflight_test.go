package preflight

import (
	"strings"
	"testing"
)

func TestErrorsNameTheFix(t *testing.T) {
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"a missing program": {Installed([]Program{{"no-such-server", "some-server"}, {"sh", "dash"}}), "apt-get install -y --no-install-recommends some-server"},
		"a full disk":       {Space(t.TempDir(), 1<<60, "measure less"), "set TMPDIR to a folder on a larger disk, or measure less"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", what, c.err, c.want)
		}
	}
}

func TestChecksSucceed(t *testing.T) {
	for what, err := range map[string]error{
		"an installed program": Installed([]Program{{"sh", "dash"}}),
		"a disk with space":    Space(t.TempDir(), 1, ""),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
