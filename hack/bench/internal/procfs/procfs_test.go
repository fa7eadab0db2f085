package procfs

import (
	"os"
	"slices"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4242 (a (weird) name) S 17 4242 4242 0 -1 4194304 500 0 0 0 150 50 7 3 20 0 12 0 8888 1000000 300 18446744073709551615 1 1 0\n"
	got, err := parseStat([]byte(line))
	if err != nil {
		t.Fatal(err)
	}
	if want := (stat{parent: 17, cpu: 2100 * time.Millisecond}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for _, broken := range []string{"", "1 (x) S 1 2", "1 (x) S a b c d e f g h i j k l m n o p"} {
		if _, err := parseStat([]byte(broken)); err == nil {
			t.Errorf("%q is accepted, want an error", broken)
		}
	}
}

func TestParseField(t *testing.T) {
	const status = "Name:\tstock\nVmPeak:\t  999999 kB\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\n"
	for name, want := range map[string]int64{"VmHWM": 20480, "VmRSS": 10240, "VmSwap": 0} {
		if got := parseField([]byte(status), name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	const io = "rchar: 5\nwchar: 6\nwrite_bytes: 4096\ncancelled_write_bytes: 1\n" //nolint:misspell // the kernel's spelling
	if got := parseField([]byte(io), "write_bytes"); got != 4096 {
		t.Errorf("write_bytes is %d, want 4096", got)
	}
}

func TestDescendants(t *testing.T) {
	tree := descendants(2, map[int]int{1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 3})
	slices.Sort(tree)
	if want := []int{2, 3, 4, 6}; !slices.Equal(tree, want) {
		t.Errorf("%v, want %v", tree, want)
	}
}

func TestOfThisProcess(t *testing.T) {
	before, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Resident == 0 || before.Peak < before.Resident {
		t.Errorf("resident %d, peak %d: want both, and a higher peak", before.Resident, before.Peak)
	}
	for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		_ = slices.Repeat([]int{1}, 1000)
	}
	after, err := Of(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.CPU - before.CPU; used <= 0 || used > time.Minute {
		t.Errorf("50 ms of work used %s, want about that much", used)
	}
}
