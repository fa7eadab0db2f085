package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var rulesFolder = filepath.Join("..", "..", "config", "prometheus")

// TestAlertsFireAndClear runs Prometheus' own checks and tests of rules.
func TestAlertsFireAndClear(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("needs promtool; not part of a -short run")
	}
	for _, arguments := range [][]string{{"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"}} {
		cmd := exec.CommandContext(t.Context(), "promtool", arguments...)
		cmd.Dir = rulesFolder
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v; it is in Debian's package prometheus\n%s", strings.Join(arguments, " "), err, output)
		}
	}
}

func TestEveryAlertHasATestAndARunbook(t *testing.T) {
	t.Parallel()
	rules, tests := read(t, filepath.Join(rulesFolder, "rules.yaml")), read(t, filepath.Join(rulesFolder, "rules_test.yaml"))
	alerts := regexp.MustCompile(`(?s)- alert: (\w+)\n.*?severity: (\w+).*?runbook: (\S+)`).FindAllStringSubmatch(rules, -1)
	if len(alerts) != strings.Count(rules, "- alert: ") || len(alerts) == 0 {
		t.Fatalf("%d of %d alerts have a severity and a runbook", len(alerts), strings.Count(rules, "- alert: "))
	}
	for _, alert := range alerts {
		name, severity, runbook := alert[1], alert[2], alert[3]
		if !strings.Contains(tests, "alertname: "+name+"\n") || !strings.Contains(tests, "alertname: "+name+", exp_alerts: []") {
			t.Errorf("%s: rules_test.yaml does not fire and clear it", name)
		}
		if severity != "page" && severity != "ticket" {
			t.Errorf("%s: severity %s, want page or ticket", name, severity)
		}
		text := read(t, filepath.Join("..", "..", "docs", "runbooks", runbook+".md"))
		for _, part := range []string{name, "## What it means", "## How to look", "## What to do"} {
			if !strings.Contains(text, part) {
				t.Errorf("the runbook of %s does not contain %q", name, part)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
