package preflight

import (
	"net"
	"strings"
	"syscall"
	"testing"
)

func TestRefusalsSayWhatToDo(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	_, files := raised(syscall.Rlimit{Cur: 1024, Max: 4096})
	for what, c := range map[string]struct {
		err  error
		want string
	}{
		"a missing program": {Installed([]Program{{"no-such-server", "some-server"}, {"sh", "dash"}}), "apt-get install -y --no-install-recommends some-server"},
		"too few files":     {files, "ulimit -Hn"},
		"a busy port":       {Free(busy.Addr().String()), "leave out --addr"},
		"a full disk":       {Space(t.TempDir(), 1<<60, "measure less"), "set TMPDIR to a folder of a disk that has it, or measure less"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: %v; want an error with %q", what, c.err, c.want)
		}
	}
}

func TestTheSoftLimitIsRaisedWithinTheHardOne(t *testing.T) {
	got, err := raised(syscall.Rlimit{Cur: 1024, Max: 1 << 20})
	if err != nil || got.Cur != Files || got.Max != 1<<20 {
		t.Errorf("%+v, %v; want the soft limit at %d and the hard one as it was", got, err, Files)
	}
	if got, err := raised(syscall.Rlimit{Cur: 20000, Max: 20000}); err != nil || got.Cur != 20000 {
		t.Errorf("%+v, %v; want the higher limit to stay", got, err)
	}
}

func TestWhatIsThereIsTaken(t *testing.T) {
	for what, err := range map[string]error{
		"an installed program": Installed([]Program{{"sh", "dash"}}),
		"a free port":          Free("127.0.0.1:0"),
		"a disk with room":     Space(t.TempDir(), 1, ""),
	} {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
