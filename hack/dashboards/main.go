// Command dashboards writes the Grafana dashboards of a stack, one JSON file for each, into
// a folder:
//
//	go run ./hack/dashboards config/grafana
//
// The dashboards are described as data in this package and built with Grafana's Foundation
// SDK. Every panel has a title that asks or states something, a description, a unit and
// thresholds.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
)

type options struct {
	Folder string `arg:"" help:"Folder to write the files into." type:"existingdir"`
}

func main() {
	var o options
	kong.Parse(&o, kong.Description("Write the Grafana dashboards."))
	if err := write(o.Folder); err != nil {
		fmt.Fprintln(os.Stderr, "dashboards:", err)
		os.Exit(1)
	}
}

// write writes each dashboard to <uid>.json.
func write(folder string) error {
	for _, spec := range all {
		built, err := spec.build()
		if err != nil {
			return err
		}
		content, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return fmt.Errorf("encode %s: %w", spec.uid, err)
		}
		if err := os.WriteFile(filepath.Join(folder, spec.uid+".json"), append(content, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}
