package gobuild

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
)

// WriteOverlay writes a file for the flag -overlay of `go build` in dir, and the contents that replace those of files
// or add files, by their absolute paths. An empty content removes the file. The files themselves stay as they are.
func WriteOverlay(dir string, contents map[string]string) (flag string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	replaced := map[string]string{}
	for file, content := range contents {
		if content == "" {
			replaced[file] = ""
			continue
		}
		replaced[file] = filepath.Join(dir, strings.ReplaceAll(file, string(filepath.Separator), "_"))
		if err := os.WriteFile(replaced[file], []byte(content), 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	return "-overlay=" + file, os.WriteFile(file, list, 0o600)
}
