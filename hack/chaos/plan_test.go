package main

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func planOf(seed uint64, length time.Duration) []fault {
	processes, edges := names()
	return newPlan(seed, length, kinds(processes, edges))
}

func TestPlanFollowsFromItsSeed(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(planOf(7, time.Minute), planOf(7, time.Minute)); diff != "" {
		t.Errorf("two plans of one seed differ:\n%s", diff)
	}
	if cmp.Equal(planOf(7, time.Minute), planOf(8, time.Minute)) {
		t.Error("the plans of two seeds are equal")
	}
}

func TestFaultsOfOneResourceDoNotOverlap(t *testing.T) {
	t.Parallel()
	mixedPlans := 0
	for seed := range uint64(50) {
		plan := planOf(seed, time.Minute)
		mixed := false
		for i, f := range plan {
			if f.At < firstFault || f.end() > time.Minute-calmBefore {
				t.Errorf("seed %d: %s lasts from %s to %s", seed, f, f.At, f.end())
			}
			if overlaps(append(slices.Clone(plan[:i]), plan[i+1:]...), f) {
				t.Errorf("seed %d: %s overlaps with a fault of its resource", seed, f)
			}
			mixed = mixed || slices.ContainsFunc(plan[i+1:], func(other fault) bool { return other.At < f.end() })
		}
		if mixed {
			mixedPlans++
		}
	}
	if mixedPlans < 40 {
		t.Errorf("%d of 50 plans have two faults at a time, want at least 40", mixedPlans)
	}
}

func TestPlansContainEveryKindOfFault(t *testing.T) {
	t.Parallel()
	processes, edges := names()
	missing := map[string]bool{}
	for _, k := range kinds(processes, edges) {
		for _, target := range k.targets {
			missing[fault{Kind: k.name, Target: target}.group()] = true
		}
	}
	for seed := range uint64(200) {
		for _, f := range planOf(seed, time.Minute) {
			delete(missing, f.group())
		}
	}
	if len(missing) > 0 {
		t.Errorf("no plan of 200 contains %v", missing)
	}
}

func TestSelectedKindsMustExist(t *testing.T) {
	t.Parallel()
	processes, edges := names()
	all := kinds(processes, edges)
	if selected, err := selectKinds(all, []string{"latency"}); err != nil || len(selected) != 1 {
		t.Errorf("latency: %d kinds, %v", len(selected), err)
	}
	if _, err := selectKinds(all, []string{"earthquake"}); err == nil {
		t.Error("an unknown kind is accepted")
	}
}
