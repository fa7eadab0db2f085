package rootfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"ecommerce-stack.dev/hack/internal/archive"
)

// writeImage writes an image of MySQL whose loader prints its arguments.
func writeImage(t *testing.T, cache string) {
	t.Helper()
	layer, err := archive.NewLayer([]archive.Entry{
		{Name: "usr/lib/test-linux-gnu/ld-linux-test.so.2", Mode: 0o755, Data: []byte("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")},
		{Name: "usr/sbin/mysqld", Mode: 0o755, Data: []byte("program")},
		{Name: "usr/share/mysql/english/errmsg.sys", Mode: 0o644, Data: []byte("messages")},
		{Name: "etc/shadow", Mode: 0o600, Data: []byte("other")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.Write(MySQL[0].Archive(cache), archive.Image{References: []string{MySQL[0].Reference()}, Config: v1.Config{}, Layer: layer}); err != nil {
		t.Fatal(err)
	}
}

func TestServerOfTheImageRunsWithItsLibraries(t *testing.T) {
	cache := t.TempDir()
	writeImage(t, cache)
	for range 2 { // The second time it is there.
		program, err := ExtractMySQL(cache)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), program, "--no-defaults", "--port=1").CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		root := filepath.Dir(program)
		want := []string{"--library-path", root + "/usr/lib/test-linux-gnu", root + "/usr/sbin/mysqld", "--no-defaults", "--port=1",
			"--basedir=" + root + "/usr", "--plugin-dir=" + root + "/usr/lib/mysql/plugin"}
		if got := strings.TrimSpace(string(out)); got != strings.Join(want, "\n") {
			t.Errorf("the loader got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
		}
		if _, err := os.Stat(filepath.Join(root, "usr/share/mysql/english/errmsg.sys")); err != nil {
			t.Errorf("the messages of the server: %v", err)
		}
		if _, err := os.Stat(filepath.Join(root, "etc")); !os.IsNotExist(err) {
			t.Errorf("other files are extracted: %v", err)
		}
	}
}

func TestInterruptedExtractionIsRepeated(t *testing.T) {
	cache := t.TempDir()
	writeImage(t, cache)
	incomplete := filepath.Join(cache, "mysqld", MySQL[0].Digest(), "usr", "sbin", "mysqld")
	if err := os.MkdirAll(filepath.Dir(incomplete), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(incomplete, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ExtractMySQL(cache); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(incomplete); string(content) != "program" {
		t.Errorf("the program is %q, %v", content, err)
	}
}

func TestMissingImageSaysHowToBuildIt(t *testing.T) {
	_, err := ExtractMySQL(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "make up") {
		t.Errorf("error %v, want the command that builds the image", err)
	}
}
