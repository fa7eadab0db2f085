package main

import (
	"strings"
	"testing"
)

// TestMutantsApplyToTheSources fails when the text that a mutant replaces has changed: then the
// mutant, and perhaps the check that finds it, has to be changed, too.
func TestMutantsApplyToTheSources(t *testing.T) {
	t.Parallel()
	root := rootOf(t)
	seen := map[string]bool{}
	for _, m := range mutants {
		if seen[m.name] {
			t.Errorf("two mutants are named %q", m.name)
		}
		seen[m.name] = true
		if _, err := writeOverlay(root, t.TempDir(), append(m.edits, failpoints...)); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		processes, edges := names()
		selected, err := selectKinds(kinds(processes, edges), m.only)
		if err != nil || len(limitTargets(selected, m.target)) == 0 {
			t.Errorf("%s: %d kinds of faults with the target %q, %v", m.name, len(selected), m.target, err)
		}
	}
	if len(mutants) < 20 {
		t.Errorf("%d mutants, want at least 20", len(mutants))
	}
}

func TestMutantsAreSelectedByName(t *testing.T) {
	t.Parallel()
	if got := selectMutants([]string{"defect 7"}); len(got) != 1 || !strings.Contains(got[0].name, "dead letter") {
		t.Errorf("selected %v", got)
	}
	if got := selectMutants(nil); len(got) != len(mutants)+2 || len(got[0].edits) > 0 || len(got[1].edits) > 0 {
		t.Errorf("%d mutants by default, want two controls and all %d", len(got), len(mutants))
	}
}
