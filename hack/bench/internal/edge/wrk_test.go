package edge

import "testing"

func TestParse(t *testing.T) {
	r, err := parse("Running 1s test @ http://127.0.0.1:1\n  2 threads and 32 connections\nRESULT 59500 1000000 0 500 2000\n")
	if err != nil {
		t.Fatal(err)
	}
	if r.rate() != 59_500 || r.p99 != 2000 || r.errors != 0 {
		t.Errorf("%+v, want 59,500 requests a second, a p99 of 2,000 µs, no errors", r)
	}
	if r, err := parse("RESULT 10 2000000 3 1 1\n"); err != nil || r.errors != 3 || r.rate() != 5 {
		t.Errorf("%+v, %v; want 3 errors at 5 a second", r, err)
	}
	for _, broken := range []string{"", "RESULT 1 2\n", "RESULT 1 0 0 0 0\n", "unable to connect\n"} {
		if _, err := parse(broken); err == nil {
			t.Errorf("%q is accepted, want an error", broken)
		}
	}
}
