package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"ecommerce-stack.dev/hack/cluster/internal/bare"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/state"
)

type upCommand struct{}

func (upCommand) Run(e *environment) error {
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	dir, err := e.stateDir()
	if err != nil {
		return err
	}
	name, up, err := e.upOf(useKind)
	if err != nil {
		return err
	}
	port, err := e.gatewayPort()
	if err != nil {
		return err
	}
	existed := providerOf(dir) != ""
	for file, content := range map[string]string{providerFile: name, portFile: strconv.Itoa(port)} {
		if err := state.Write(dir.Path(file), []byte(content+"\n"), 0o600); err != nil {
			return err
		}
	}
	if err := up(); err != nil {
		if !existed && useKind { // Without a cluster, the next run chooses again.
			err = errors.Join(err, os.Remove(dir.Path(providerFile)), os.Remove(dir.Path(portFile)))
		}
		return err
	}
	e.progress.Printf("The %s cluster is ready after %s.\n\n  export KUBECONFIG=%s", name, progress.Short(e.progress.Elapsed()), dir.Kubeconfig())
	return nil
}

// upOf returns the provider and the function that starts its cluster.
func (e *environment) upOf(useKind bool) (name string, up func() error, err error) {
	if useKind {
		c, err := e.kind()
		if err != nil {
			return "", nil, err
		}
		return "kind", c.Up, nil
	}
	c, err := e.bare()
	if err != nil {
		return "", nil, err
	}
	return "bare", c.Up, c.Preflight()
}

type downCommand struct{}

func (downCommand) Run(e *environment) error {
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	if useKind {
		c, err := e.kind()
		if err != nil {
			return err
		}
		return c.Down()
	}
	c, err := e.bare()
	if err != nil {
		return err
	}
	return c.Down()
}

type statusCommand struct{}

func (statusCommand) Run(e *environment) error {
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	if useKind {
		c, err := e.kind()
		if err != nil {
			return err
		}
		return c.Status(os.Stdout)
	}
	c, err := e.bare()
	if err != nil {
		return err
	}
	return c.Status(os.Stdout)
}

type logsCommand struct {
	Component string `arg:"" optional:"" help:"A component such as kubelet; all by default."`
	Lines     int    `short:"n" default:"40" help:"Number of lines of each component."`
	Follow    bool   `short:"f" help:"Follow the logs."`
}

func (l logsCommand) Run(e *environment) error {
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	if useKind {
		c, err := e.kind()
		if err != nil {
			return err
		}
		if l.Follow {
			return errors.New("--follow works on a bare cluster only: use `kubectl logs --follow`")
		}
		return c.Logs(os.Stdout, l.Component, l.Lines)
	}
	c, err := e.bare()
	if err != nil {
		return err
	}
	paths, err := c.Logs(l.Component)
	if err != nil {
		return err
	}
	args := []string{"--lines", fmt.Sprint(l.Lines)}
	if l.Follow {
		args = append(args, "--follow")
	}
	cmd := exec.Command("tail", append(args, paths...)...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

type kubeconfigCommand struct{}

func (kubeconfigCommand) Run(e *environment) error {
	dir, err := e.stateDir()
	if err != nil {
		return err
	}
	if err := noCluster(dir); err != nil {
		return err
	}
	fmt.Println(dir.Kubeconfig())
	return nil
}

type describeCommand struct{}

// Run prints what other programs need in one call, which saves each the time that the Go tool
// takes to start this one.
func (describeCommand) Run(e *environment) error {
	dir, err := e.stateDir()
	if err != nil {
		return err
	}
	if err := noCluster(dir); err != nil {
		return err
	}
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	port, err := e.gatewayPort()
	if err != nil {
		return err
	}
	bin, err := e.clients(useKind)
	if err != nil {
		return err
	}
	images := map[string]string{}
	if !useKind {
		images = bare.ServerImages()
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"kubeconfig": dir.Kubeconfig(), "url": gatewayURL(port), "clients": bin, "serverImages": images,
	})
}

type loadCommand struct {
	Archives []string `arg:"" type:"existingfile" help:"docker-archives."`
}

// Run prints the description of the cluster, too, for programs that go on to use the images.
func (l loadCommand) Run(e *environment) error {
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	if err := l.load(e, useKind); err != nil {
		return err
	}
	return describeCommand{}.Run(e)
}

func (l loadCommand) load(e *environment, useKind bool) error {
	if useKind {
		c, err := e.kind()
		if err != nil {
			return err
		}
		return c.Load(l.Archives)
	}
	c, err := e.bare()
	if err != nil {
		return err
	}
	return c.Load(l.Archives)
}

type enforceCommand struct{}

// Run prints a line to standard output when the policies are enforced.
func (enforceCommand) Run(e *environment) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	enforced := func() { fmt.Println("NetworkPolicies are enforced.") }
	useKind, err := e.useKind()
	if err != nil {
		return err
	}
	if useKind { // Its network enforces them.
		enforced()
		<-ctx.Done()
		return nil
	}
	c, err := e.bare()
	if err != nil {
		return err
	}
	return c.Enforce(ctx, enforced)
}
