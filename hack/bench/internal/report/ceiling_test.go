package report

import (
	"encoding/json"
	"strings"
	"testing"

	"ecommerce-stack.dev/hack/bench/internal/measure"
)

// beneath is a run of two rounds with a relay, on a machine that was twice as fast in the
// second.
func beneath() *Report {
	r := &Report{Rounds: 2, Seconds: 1, Samples: []measure.Sample{
		sample(1, "http/gateway-token", "requests", 60), sample(1, "http/relay-token", "requests", 100),
		sample(1, "http/gateway-token@abc1234", "requests", 10), sample(1, "http/gateway", "requests", 100),
		sample(2, "http/relay-token", "requests", 200), sample(2, "http/gateway-token", "requests", 160),
	}}
	r.Digest()
	return r
}

func TestTheCeilingIsTheRelayOfTheSameRound(t *testing.T) {
	// 60/100, 160/200; nginx was not measured.
	shares := beneath().Ceiling
	if len(shares) != 1 {
		t.Fatalf("shares %+v, want that of the gateway alone", shares)
	}
	s := shares[0]
	if s.Measurement != "http/gateway-token" || s.Of != "http/relay-token" || s.Median != .7 || s.Min != .6 || s.Max != .8 {
		t.Errorf("%+v, want 0.6 to 0.8 around 0.7 of the relay", s)
	}
}

func TestThereIsNoCeilingWithoutTheRelay(t *testing.T) {
	r := &Report{Samples: []measure.Sample{sample(1, "http/gateway-token", "requests", 60), sample(1, "http/nginx-token", "requests", 60)}}
	var b strings.Builder
	r.Digest()
	r.Print(&b)
	if len(r.Ceiling) > 0 || strings.Contains(b.String(), "Ceiling") {
		t.Errorf("shares %+v are printed or kept, want none:\n%s", r.Ceiling, b.String())
	}
}

func TestTheCeilingIsPrintedAndInTheJSON(t *testing.T) {
	r := beneath()
	r.Samples = append(r.Samples, sample(1, "http/nginx-token", "requests", 50))
	r.Digest()
	var b strings.Builder
	r.Print(&b)
	_, section, _ := strings.Cut(b.String(), "\nCeiling\n")
	section, _, _ = strings.Cut(section, "\n\n")
	if got, want := strings.Join(strings.Fields(section), " "), "median min .. max"+
		" gateway with token and limits against a relay that does only system calls 0.70 0.60 .. 0.80"+
		" nginx, same requests against a relay that does only system calls 0.50"; got != want {
		t.Errorf("the section is\n%q, want\n%q in\n%s", got, want, b.String())
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := `"measurement":"http/nginx-token","of":"http/relay-token"`; !strings.Contains(string(raw), want) {
		t.Errorf("no %s in %s", want, raw)
	}
}
