package usage

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestDescendants(t *testing.T) {
	tree := descendants(2, map[int]int{1: 0, 2: 1, 3: 2, 4: 3, 5: 1, 6: 3})
	slices.Sort(tree)
	if want := []int{3, 4, 6}; !slices.Equal(tree, want) {
		t.Errorf("%v, want %v", tree, want)
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	before, err := OfTree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if before.Resident < 1<<20 || before.Peak < before.Resident {
		t.Errorf("resident %d, peak %d bytes: want megabytes, and a higher peak", before.Resident, before.Peak)
	}
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	for began := cpu(); cpu()-began < 50*time.Millisecond; {
		_ = slices.Repeat([]int{1}, 1000)
	}
	after, err := OfTree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after.CPU - before.CPU; used < 50*time.Millisecond-2*tick || used > time.Minute {
		t.Errorf("work of 50 ms of CPU time used %s, want about that much", used)
	}
}
