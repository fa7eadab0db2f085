package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"time"

	"ecommerce-stack.dev/hack/internal/gobuild"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// toolCommand builds one of the tools of hack/tools, which is called like the file.
type toolCommand struct {
	File string `arg:"" help:"Path of the program to write."`
}

// Run implements the command. The time of the file is that of the build, also if its content
// stays the same, so that make does not build it again.
func (c toolCommand) Run(ctx context.Context) error {
	root, err := workspace.Root()
	if err != nil {
		return err
	}
	module, name := filepath.Join(root, "hack", "tools"), filepath.Base(c.File)
	list := exec.CommandContext(ctx, "go", "list", "tool")
	list.Dir, list.Env = module, append(os.Environ(), "GOWORK=off")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the tools of %s: %w", module, err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if path.Base(pkg) != name {
			continue
		}
		file, err := filepath.Abs(c.File)
		if err != nil {
			return err
		}
		if err := progress.New(os.Stderr).Run("Build "+name, func(detail func(string)) error {
			return gobuild.Build{Go: "go", Dir: module, Env: []string{"GOWORK=off"}, Output: file, Packages: []string{pkg}}.Run(ctx, detail)
		}); err != nil {
			return err
		}
		now := time.Now()
		return os.Chtimes(file, now, now)
	}
	return fmt.Errorf("%s has no tool %s", filepath.Join(module, "go.mod"), name)
}
