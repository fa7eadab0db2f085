package console

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

const document = "# A\n\n```console\n$ other\n```\n\n## Tour\n\nText.\n\n```console\n$ a \\\n    b\nout\n$ c\n```\n\n```yaml\nno: step\n```\n\n" +
	"```console\n$ d\n1\n...\n```\n\n## Next\n\n```console\n$ other\n```\n"

func TestSectionHasAllCommandsWithTheirOutput(t *testing.T) {
	t.Parallel()
	got, err := Section(document, "Tour")
	if err != nil {
		t.Fatal(err)
	}
	want := []Step{{"a \\\n    b", "out\n"}, {"c", ""}, {"d", "1\n...\n"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	for name, wrong := range map[string]string{
		"no section": "# A\n", "no command": "\n## Tour\n\nText.\n", "output first": "\n## Tour\n```console\nout\n$ a\n```\n", "no end": "\n## Tour\n```console\n$ a\n",
	} {
		if steps, err := Section(wrong, "Tour"); err == nil {
			t.Errorf("%s: got %q, want an error", name, steps)
		}
	}
}

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown, printed string
		want           bool
	}{
		{"", "", true},
		{"", "error\n", false},
		{"a\n", "a\n", true},
		{"a\n", "a", true},
		{"a\n", "", false},
		{"a\n", "a\nb\n", false},
		{"a\n...\n", "a\nb\nc\n", true},
		{"a\n...\n", "a\n", true},
		{"NAME   READY ...\n", "NAME READY   AGE\n", true},
		{"NAME   READY ...\n", "NAME AGE\n", false},
		{`{"id":1,"customerId":2,"quantity":2,...}` + "\n", `{"id":17,"customerId":8,"quantity":2,"x":1}`, true},
		{`{"id":1,"customerId":2,"quantity":2,...}` + "\n", `{"id":17,"customerId":8,"quantity":3,"x":1}`, false},
		{"a.c\n", "abc\n", false},
	} {
		if got := (Step{Output: c.shown}).Matches(c.printed); got != c.want {
			t.Errorf("%q printed where %q is shown: matches %t, want %t", c.printed, c.shown, got, c.want)
		}
	}
}
