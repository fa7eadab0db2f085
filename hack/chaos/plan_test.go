package main

import (
	"slices"
	"strings"
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
	for _, database := range []string{"mariadb", "galera", "galera-all", "group"} {
		all := kindsOf(database, processes, edges)
		missing := map[string]bool{}
		for _, k := range all {
			for _, target := range k.targets {
				missing[fault{Kind: k.name, Target: target}.group()] = true
			}
		}
		for seed := range uint64(400) {
			for _, f := range newPlan(seed, time.Minute, all) {
				delete(missing, f.group())
			}
		}
		if len(missing) > 0 {
			t.Errorf("%s: no plan of 400 contains %v", database, missing)
		}
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

// TestFaultsOfClustersAreOfTheirNodes also checks that no scenario locks rows at one of several nodes, which
// has no effect at the others.
func TestFaultsOfClustersAreOfTheirNodes(t *testing.T) {
	t.Parallel()
	processes, edges := names()
	for database, c := range map[string]struct{ nodes, scenarios bool }{
		"mariadb": {false, true}, "mysql": {false, true}, "galera": {true, true}, "galera-all": {true, false}, "group": {true, true},
	} {
		has := map[string]bool{}
		for _, k := range kindsOf(database, processes, edges) {
			has[k.name] = true
		}
		if has["kill a node of"] != c.nodes || has["isolate a node of"] != c.nodes || has["fill the disk of"] == c.nodes || has["hold a product of"] != c.scenarios {
			t.Errorf("%s has the faults %v, want those of nodes: %t, those that hold rows: %t", database, has, c.nodes, c.scenarios)
		}
	}
}

func TestOptionsOutOfRangeAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*options)
		option string // empty if it is valid
	}{
		"defaults":             {func(*options) {}, ""},
		"duration":             {func(o *options) { o.Duration = 13 * time.Hour }, "--duration"},
		"length":               {func(o *options) { o.Length = time.Second }, "--length"},
		"rounds":               {func(o *options) { o.Rounds = -1 }, "--rounds"},
		"no load":              {func(o *options) { o.Scale = 0 }, "--scale"},
		"largest load":         {func(o *options) { o.Scale = 32 }, ""},
		"too much load":        {func(o *options) { o.Scale = 33 }, "--scale"},
		"mutants":              {func(o *options) { o.Mutants = true }, ""},
		"mutants with load":    {func(o *options) { o.Mutants, o.Scale = true, 2 }, "--scale"},
		"mutants with MySQL":   {func(o *options) { o.Mutants, o.Database = true, "mysql" }, ""},
		"mutants with Galera":  {func(o *options) { o.Mutants, o.Database = true, "galera" }, "--database"},
		"mutants with a group": {func(o *options) { o.Mutants, o.Database = true, "group" }, "--database"},
	} {
		o := options{Duration: time.Minute, Length: time.Minute, Scale: 1, Database: "mariadb"}
		c.change(&o)
		if err := o.Validate(); (err == nil) != (c.option == "") || err != nil && !strings.Contains(err.Error(), c.option) {
			t.Errorf("%s: %v, want an error about %q", name, err, c.option)
		}
	}
}
