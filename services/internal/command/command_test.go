package command

import (
	"context"
	"errors"
	"testing"
)

func TestRunSelectsSubcommand(t *testing.T) {
	t.Parallel()
	var ran string
	subcommands := map[string]func(context.Context) error{
		"serve":   func(context.Context) error { ran = "serve"; return nil },
		"migrate": func(context.Context) error { ran = "migrate"; return errors.New("no") },
	}
	for _, c := range []struct {
		arguments []string
		ran       string
		code      int
	}{
		{nil, "serve", 0}, {[]string{"serve"}, "serve", 0}, {[]string{"migrate"}, "migrate", 1},
		{[]string{"fly"}, "", 2}, {[]string{"serve", "now"}, "", 2},
	} {
		ran = ""
		if code := run("sales", c.arguments, subcommands); code != c.code || ran != c.ran {
			t.Errorf("%v: ran %q, exit code %d; want %q, %d", c.arguments, ran, code, c.ran, c.code)
		}
	}
}
