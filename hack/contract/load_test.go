package contract_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestLoadReportsHowRequestsAndSalesEnd runs hack/load against the system.
func TestLoadReportsHowRequestsAndSalesEnd(t *testing.T) {
	s := startSystem(t)
	cmd := exec.CommandContext(t.Context(), "go", "run", "../load", "--rate=60", "--duration=3s", "--shoppers=3", "--products=5")
	cmd.Env = append(os.Environ(), "GATEWAY_URL="+s.URL, "MANAGER_EMAIL="+s.ManagerEmail, "MANAGER_PASSWORD="+s.ManagerPassword)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{`(?m)^ +list +\d+ +0 +0 `, `(?m)^ +order +\d+ +0 +0 `, `Responses by status: .*\b200: \d+, 202: \d+`,
		`Sales: \d+ accepted, .*Confirmed: \d+`} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the output does not match %s:\n%s", want, out)
		}
	}
}
