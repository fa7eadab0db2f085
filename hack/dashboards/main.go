// Command dashboards writes the Grafana dashboards of a stack, one JSON file for each, into
// a folder:
//
//	go run ./hack/dashboards config/grafana
//
// The dashboards are described as data in this package and built with Grafana's Foundation
// SDK. Every panel has a title that asks or states something, a description, a unit and
// thresholds.
//
// The command render draws them with Grafana's components from the data of a Prometheus.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/alecthomas/kong"
)

type arguments struct {
	Write  writeCommand  `cmd:"" default:"withargs" help:"Write the dashboards."`
	Render renderCommand `cmd:"" help:"Draw the dashboards with data."`
}

type writeCommand struct {
	Folder string `arg:"" help:"Folder to write the files into." type:"existingdir"`
}

// Run writes the files.
func (c writeCommand) Run() error { return write(c.Folder) }

func main() {
	ctx := kong.Parse(new(arguments), kong.Name("dashboards"), kong.Description("Write the Grafana dashboards."))
	if err := ctx.Run(); err != nil {
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
