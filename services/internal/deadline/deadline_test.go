package deadline_test

import (
	"testing"
	"time"

	"ecommerce-stack.dev/services/internal/deadline"
)

func TestFormattedDeadlineIsParsedToTheMillisecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 27, 10, 15, 30, 123_987_654, time.FixedZone("", 3600))
	got, ok := deadline.Parse(deadline.Format(at))
	if want := at.UTC().Truncate(time.Millisecond); !ok || got != want {
		t.Errorf("Parse(%q) = %v, %v; want %v", deadline.Format(at), got, ok, want)
	}
	if got := string(deadline.Append([]byte("x"), at)); got != "x1795770930123" {
		t.Errorf("Append = %q, want x1795770930123", got)
	}
}

func TestOnlyOneToThirteenDigitsAreADeadline(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"0": true, "1795770930123": true, "9999999999999": true,
		"": false, "-1": false, "+1": false, " 1": false, "1 ": false, "1.5": false, "1e3": false, "0x1": false, "1_0": false,
		"10000000000000": false, "١": false, "tomorrow": false,
	} {
		if _, ok := deadline.Parse(value); ok != want {
			t.Errorf("Parse(%q) = %v, want %v", value, ok, want)
		}
	}
}
