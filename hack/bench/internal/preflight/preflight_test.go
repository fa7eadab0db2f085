package preflight

import (
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestErrorsNameTheFix(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, files := raisedLimit(syscall.Rlimit{Cur: 1024, Max: 4096})
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"a missing program": {Installed([]Program{{"no-such-server", "some-server"}, {"sh", "dash"}}), "apt-get install -y --no-install-recommends some-server"},
		"too few files":     {files, "ulimit -Hn"},
		"a busy port":       {Free(busy.Addr().String()), "omit --addr"},
		"a full disk":       {Space(t.TempDir(), 1<<60, "measure less"), "set TMPDIR to a folder on a larger disk, or measure less"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", what, c.err, c.want)
		}
	}
}

func TestRaisedLimit(t *testing.T) {
	got, err := raisedLimit(syscall.Rlimit{Cur: 1024, Max: 1 << 20})
	if err != nil || got.Cur != Files || got.Max != 1<<20 {
		t.Errorf("%+v, %v; want the soft limit %d and an unchanged hard limit", got, err, Files)
	}
	if got, err := raisedLimit(syscall.Rlimit{Cur: 20000, Max: 20000}); err != nil || got.Cur != 20000 {
		t.Errorf("%+v, %v; want the higher limit unchanged", got, err)
	}
}

func TestChecksSucceed(t *testing.T) {
	for what, err := range map[string]error{
		"an installed program": Installed([]Program{{"sh", "dash"}}),
		"a free port":          Free("127.0.0.1:0"),
		"a disk with space":    Space(t.TempDir(), 1, ""),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
