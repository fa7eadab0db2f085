package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"ecommerce-stack.dev/hack/internal/gobuild"
)

// edit replaces a text of a source file, which must occur exactly once.
type edit struct{ File, Old, New string }

// The sources that are added to the services, so that faults can reach into them. They are no
// part of the tree, and so of no release.
//
//go:embed overlay/clock.go.txt
var clockSource string

// added are the added sources by their files.
var added = map[string]string{"services/internal/database/chaos_clock.go": clockSource}

// writeOverlay writes a file for the flag -overlay of `go build`, in dir, with the added sources
// and the edits. The source tree at root stays as it is.
func writeOverlay(root, dir string, edits []edit) (flag string, err error) {
	replaced := map[string]string{} // contents by file
	for file, content := range added {
		replaced[file] = content
	}
	for _, e := range edits {
		content, known := replaced[e.File]
		if !known {
			read, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return "", fmt.Errorf("read the source to edit: %w", err)
			}
			content = string(read)
		}
		if n := strings.Count(content, e.Old); n != 1 {
			return "", fmt.Errorf("%s has the text to replace %d times, want once:\n%s", e.File, n, e.Old)
		}
		replaced[e.File] = strings.Replace(content, e.Old, e.New, 1)
	}
	contents := map[string]string{}
	for file, content := range replaced {
		contents[filepath.Join(root, file)] = content
	}
	return gobuild.WriteOverlay(dir, contents)
}
