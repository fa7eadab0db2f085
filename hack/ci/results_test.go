package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	t.Parallel()
	const (
		pass = `{"Action":"pass","Package":"p","Test":"TestA"}`
		skip = `{"Action":"skip","Package":"p","Test":"TestA"}`
		fail = `{"Action":"fail","Package":"p","Test":"TestB"}`
		done = `{"Action":"pass","Package":"p"}`
		dead = `{"Action":"fail","Package":"q"}`
	)
	for name, c := range map[string]struct {
		suites []string
		failed []string
		ok     bool
		last   string
	}{
		"all passed":                      {[]string{pass + "\n" + done}, nil, true, "1 passed, 0 failed, 0 skipped"},
		"skipped in one, passed in other": {[]string{skip, pass}, nil, true, "1 passed, 0 failed, 0 skipped"},
		"skipped everywhere":              {[]string{skip}, nil, false, "0 passed, 0 failed, 1 skipped"},
		"one failed":                      {[]string{pass + "\n" + fail}, nil, false, "1 passed, 1 failed, 0 skipped"},
		"a package does not build":        {[]string{pass + "\n" + dead}, nil, false, "1 passed, 1 failed, 0 skipped"},
		"nothing ran":                     {[]string{done}, nil, false, "0 passed, 0 failed, 0 skipped"},
		"a suite without tests failed":    {[]string{pass}, []string{"lint"}, false, "1 passed, 0 failed, 0 skipped"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i, content := range c.suites {
				if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".json"), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out strings.Builder
			err := resultsCommand{Results: dir, Failed: c.failed}.Run(&out)
			if (err == nil) != c.ok || !strings.HasSuffix(strings.TrimSpace(out.String()), c.last) {
				t.Errorf("got %v, want success %v and a last line %q:\n%s", err, c.ok, c.last, out.String())
			}
		})
	}
}
