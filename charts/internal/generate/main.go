// Command generate writes what the charts repeat, so that each can be installed by
// itself and without a network: the library chart under charts/, the shared schema
// definitions in values.schema.json, and the operator's resource definition.
package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"

	"ecommerce-stack.dev/charts"
)

const crd = "ecommerce-stack.dev_ecommercestacks.yaml"

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, "generate charts:", err)
		os.Exit(1)
	}
}

func generate(root string) error {
	definitions, err := readDefinitions(filepath.Join(root, "library", "schema", "definitions.json"))
	if err != nil {
		return err
	}
	for _, name := range charts.Names {
		chart := filepath.Join(root, name)
		if err := vendorLibrary(filepath.Join(root, "library"), filepath.Join(chart, "charts", "ecommerce-library")); err != nil {
			return err
		}
		if err := shareDefinitions(filepath.Join(chart, "values.schema.json"), definitions); err != nil {
			return err
		}
	}
	return copyDefinition(filepath.Join(root, "..", "config", "crd", crd), filepath.Join(root, "operator", "files", "crd.yaml"))
}

// vendorLibrary copies what Helm needs of the library.
func vendorLibrary(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(to, "templates"), 0o755); err != nil {
		return err
	}
	templates, err := fs.Glob(os.DirFS(from), "templates/*.tpl")
	if err != nil {
		return err
	}
	for _, file := range append(templates, "Chart.yaml") {
		if err := copyFile(filepath.Join(from, file), filepath.Join(to, file)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

func readDefinitions(file string) (map[string]json.RawMessage, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var definitions map[string]json.RawMessage
	if err := json.Unmarshal(content, &definitions); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return definitions, nil
}

var reference = regexp.MustCompile(`"#/\$defs/([A-Za-z]+)"`)

// shareDefinitions sets the $defs of a schema to the definitions it refers to.
func shareDefinitions(file string, definitions map[string]json.RawMessage) error {
	schema, err := readDefinitions(file)
	if err != nil {
		return err
	}
	delete(schema, "$defs")
	used := map[string]json.RawMessage{}
	for _, part := range schema {
		if err := collect(part, definitions, used); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	whole := map[string]any{"$defs": used}
	for key, value := range maps.All(schema) {
		whole[key] = value
	}
	content, err := json.MarshalIndent(whole, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(content, '\n'), 0o644)
}

func collect(part json.RawMessage, definitions, used map[string]json.RawMessage) error {
	for _, match := range reference.FindAllSubmatch(part, -1) {
		name := string(match[1])
		if _, done := used[name]; done {
			continue
		}
		definition, found := definitions[name]
		if !found {
			return fmt.Errorf("no definition %q in the library", name)
		}
		used[name] = definition
		if err := collect(definition, definitions, used); err != nil {
			return err
		}
	}
	return nil
}

// copyDefinition lets Helm keep the resource definition, and so every stack, when the
// operator's release is removed.
func copyDefinition(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	annotations := regexp.MustCompile(`(?m)^  annotations:\n`)
	if len(annotations.FindAll(content, -1)) != 1 {
		return fmt.Errorf("%s: want exactly one block of annotations", from)
	}
	content = annotations.ReplaceAll(content, []byte("  annotations:\n    helm.sh/resource-policy: keep\n"))
	return os.WriteFile(to, content, 0o644)
}
