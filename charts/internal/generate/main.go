// Command generate writes the schema definitions of the library into values.schema.json
// of each chart that refers to them, because Helm validates a chart's values by the
// chart's own file alone.
package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"

	"ecommerce-stack.dev/charts"
)

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
		if err := shareDefinitions(filepath.Join(root, name, "values.schema.json"), definitions); err != nil {
			return err
		}
	}
	return nil
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
