package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// fault is one fault of a plan.
type fault struct {
	Kind   string
	Target string // a process, a server, or an edge
	At     time.Duration
	For    time.Duration
	Seed   uint64 // of the random choices of the fault
}

func (f fault) String() string { return f.Kind + " " + f.Target }

// group returns the kind with the service or server, by which faults are counted.
func (f fault) group() string {
	if _, to, isEdge := strings.Cut(f.Target, "→"); isEdge {
		return f.Kind + " →" + to
	}
	return f.Kind + " " + serviceOf(f.Target)
}

func (f fault) end() time.Duration { return f.At + f.For }

// resources are what a fault needs for itself. Faults of one resource do not overlap, because
// the end of one would end the other.
func (f fault) resources() []string {
	processes, edges := names()
	switch f.Target {
	case allProcesses:
		return processes
	case stockConsumers:
		return []string{"stock", "stock-2", brokerName}
	case salesConsumers:
		return []string{"sales", "sales-2", brokerName}
	case everything:
		return slices.Concat(processes, edges, []string{mysqlServer, brokerName})
	}
	return []string{f.Target}
}

// Targets of faults that change several processes, and of those during which no other fault may be
// active.
const (
	allProcesses   = "all processes"
	stockConsumers = "consumers of stock"
	salesConsumers = "consumers of sales"
	everything     = "the store"
)

// Limits of a plan.
const (
	firstFault  = 2 * time.Second // after the start of the load
	calmBefore  = time.Second     // the end of the load
	minGap      = 300 * time.Millisecond
	maxGap      = 2 * time.Second
	secondLane  = 60 // percent of the time in which a second fault is possible
	planRetries = 20
)

// newPlan returns the faults of a round in the order of their start. The same seed, length and
// kinds give the same plan. Two sequences of faults run side by side, so that faults occur
// alone and mixed. Each sequence goes through all kinds before one is repeated.
func newPlan(seed uint64, length time.Duration, kinds []kind) []fault {
	random := rand.New(rand.NewPCG(seed, 7))
	var plan []fault
	var deck []kind
	for lane := range 2 {
		at := firstFault
		if lane == 1 {
			at += between(random, maxGap, 2*maxGap)
		}
		for rejected := 0; at < length-calmBefore && rejected < planRetries; {
			if len(deck) == 0 {
				deck = slices.Clone(kinds)
				random.Shuffle(len(deck), func(i, j int) { deck[i], deck[j] = deck[j], deck[i] })
			}
			k := deck[0]
			deck = deck[1:]
			f := fault{Kind: k.name, Target: k.targets[random.IntN(len(k.targets))], At: at, For: between(random, k.min, k.max), Seed: random.Uint64()}
			if f.end() > length-calmBefore || overlaps(plan, f) {
				deck = append(deck, k)
				rejected++
				continue
			}
			rejected = 0
			plan = append(plan, f)
			at = f.end() + between(random, minGap, maxGap)
			if lane == 1 && random.IntN(100) >= secondLane {
				at += between(random, maxGap, 3*maxGap)
			}
		}
	}
	slices.SortStableFunc(plan, func(a, b fault) int { return int(a.At - b.At) })
	return plan
}

// overlaps reports whether a fault needs a resource of another one at the same time.
func overlaps(plan []fault, f fault) bool {
	return slices.ContainsFunc(plan, func(other fault) bool {
		return f.At < other.end()+minGap && other.At < f.end()+minGap &&
			slices.ContainsFunc(f.resources(), func(r string) bool { return slices.Contains(other.resources(), r) })
	})
}

func between(random *rand.Rand, low, high time.Duration) time.Duration {
	if high <= low {
		return low
	}
	return low + time.Duration(random.Int64N(int64(high-low)))
}

// describe returns a plan, one fault per line.
func describe(plan []fault) string {
	lines := make([]string, len(plan))
	for i, f := range plan {
		lines[i] = fmt.Sprintf("%6.1fs to %5.1fs  %s", f.At.Seconds(), f.end().Seconds(), f)
	}
	return strings.Join(lines, "\n")
}
