package bare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/published"
	"ecommerce-stack.dev/hack/internal/state"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// firewallPackages are the Debian packages that kube-router needs in addition to Packages.
var firewallPackages = []debian.Package{
	{Name: "iptables", Has: []string{"iptables", "iptables-save", "iptables-restore"}},
	{Name: "ipset", Has: []string{"ipset"}},
}

const kubeRouterVersion = "v2.1.0"

// kubeRouter is the controller that Enforce runs.
var kubeRouter = published.Program{
	Module: "github.com/cloudnativelabs/kube-router/v2@" + kubeRouterVersion, Package: "./cmd/kube-router",
	Flags: []string{"-trimpath", "-ldflags", "-s -w"},
}

const (
	// enforceTimeout is how long kube-router may take to apply the first rules.
	enforceTimeout = time.Minute
	// firewallStopTimeout is how long kube-router may take to end, and then the kernel to
	// release its sets of addresses.
	firewallStopTimeout = 10 * time.Second
)

// Enforce enforces the NetworkPolicies of a running cluster until the context is canceled,
// and then removes all rules. It calls enforced when the first rules are in effect. It returns
// ErrDown if no cluster runs.
func (c *Cluster) Enforce(ctx context.Context, enforced func()) error {
	record, running := node.Running(c.Dir)
	if !running {
		return ErrDown
	}
	if missing := debian.Missing(firewallPackages); len(missing) > 0 {
		return fmt.Errorf("missing %s: run\n\n  %s", strings.Join(missing, ", "), debian.Command(missing))
	}
	program, err := c.ensureKubeRouter(ctx)
	if err != nil {
		return err
	}
	f := firewall{record}
	if err := f.clear(ctx); err != nil { // An earlier run may have been killed.
		return err
	}
	return errors.Join(c.enforce(ctx, f, program, enforced), f.clear(context.WithoutCancel(ctx)))
}

// enforce runs kube-router until the context is canceled or the cluster ends.
func (c *Cluster) enforce(ctx context.Context, f firewall, program string, enforced func()) error {
	log, err := os.Create(c.Dir.Log("kube-router"))
	if err != nil {
		return err
	}
	defer log.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- f.run(ctx, program, c.Dir.Kubeconfig(), log)
	}()
	err = c.Progress.Run("Apply the NetworkPolicies", func(func(string)) error { return f.await(ctx) })
	if err == nil {
		enforced()
		f.watch(ctx)
	}
	cancel()
	if runErr := <-ended; runErr != nil {
		return fmt.Errorf("%w\n%s", runErr, c.tail("kube-router"))
	}
	return err
}

// ensureKubeRouter builds kube-router unless it is in the cache, and returns its path.
func (c *Cluster) ensureKubeRouter(ctx context.Context) (string, error) {
	path := filepath.Join(c.Cache, "kube-router", kubeRouterVersion)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	lock, err := state.Acquire(path+".lock", func() { c.Progress.Printf("  … waiting for another program that is building kube-router") })
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	goTool, err := workspace.Go(c.Root)
	if err != nil {
		return "", err
	}
	return path, c.Progress.Run("Build kube-router "+kubeRouterVersion+" (about 3 minutes the first time)", func(detail func(string)) error {
		unfinished := path + ".new"
		if err := kubeRouter.Build(ctx, goTool, unfinished, detail); err != nil {
			return err
		}
		return os.Rename(unfinished, path)
	})
}

// firewall is the packet filter of a node. Only kube-router uses iptables and ipset there:
// kube-proxy uses nftables.
type firewall struct{ node.Record }

// command returns a command that runs in the mount and network namespaces of the node.
func (f firewall) command(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "nsenter", append([]string{"--target", strconv.Itoa(f.PID), "--mount", "--net", "--"}, args...)...)
}

// run runs kube-router as a firewall only. It returns nil if the context was canceled.
func (f firewall) run(ctx context.Context, program, kubeconfig string, log io.Writer) error {
	// The kernel sends Pdeathsig when the thread that started the process ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := f.command(ctx, program, "--run-firewall=true", "--run-router=false", "--run-service-proxy=false",
		"--kubeconfig="+kubeconfig, "--master=https://"+node.Address+":6443", "--hostname-override="+node.Name,
		"--service-cluster-ip-range="+node.ServiceNet, "--health-port=0")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true} // Ctrl-C reaches only this process.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = firewallStopTimeout
	err := cmd.Run()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("kube-router ended: %w", cmp.Or(err, errors.New("exit status 0")))
}

// await waits until kube-router has applied rules: the last one of each chain accepts what
// the policies allow.
func (f firewall) await(ctx context.Context) error {
	timeout, cancel := context.WithTimeout(ctx, enforceTimeout)
	defer cancel()
	return wait.PollUntilContextCancel(timeout, 200*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		rules, err := f.rules(ctx)
		return strings.Contains(rules, "-A KUBE-ROUTER-FORWARD") && strings.Contains(rules, "-j ACCEPT"), err
	})
}

// watch returns when the context is canceled or the node ends: without it, kube-router would
// hold the namespaces of the node.
func (f firewall) watch(ctx context.Context) {
	_ = wait.PollUntilContextCancel(ctx, time.Second, true, func(context.Context) (bool, error) { return !f.Alive(), nil })
}

// rules returns the rules, chains and sets of the node, without those that the kernel has.
func (f firewall) rules(ctx context.Context) (string, error) {
	saved, err := f.output(ctx, "iptables-save")
	if err != nil {
		return "", err
	}
	sets, err := f.output(ctx, "ipset", "list", "-name")
	return rulesOf(saved) + sets, err
}

// rulesOf returns the rules and the chains in the output of iptables-save.
func rulesOf(saved string) string {
	var rules strings.Builder
	for line := range strings.Lines(saved) {
		// The policy of a chain that is not built in is "-".
		if strings.HasPrefix(line, "-A ") || strings.HasPrefix(line, ":") && strings.Fields(line)[1] == "-" {
			rules.WriteString(line)
		}
	}
	return rules.String()
}

// clear removes all rules and sets. That of kube-router itself, --cleanup-config, removes
// none in this version.
func (f firewall) clear(ctx context.Context) error {
	if !f.Alive() {
		return nil // The kernel has removed them with the namespaces.
	}
	for _, args := range [][]string{{"iptables", "--wait", "--flush"}, {"iptables", "--wait", "--delete-chain"}} {
		if _, err := f.output(ctx, args...); err != nil {
			return err
		}
	}
	timeout, cancel := context.WithTimeout(ctx, firewallStopTimeout)
	defer cancel()
	// The kernel releases a set some time after the rules that refer to it.
	var last error
	if err := wait.PollUntilContextCancel(timeout, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, last = f.output(ctx, "ipset", "destroy")
		return last == nil, nil
	}); err != nil {
		return errors.Join(err, last)
	}
	left, err := f.rules(ctx)
	if err == nil && left != "" {
		err = fmt.Errorf("remove the rules of the NetworkPolicies: some remain:\n%s", left)
	}
	return err
}

// output runs a command in the node and returns its standard output.
func (f firewall) output(ctx context.Context, args ...string) (string, error) {
	out, err := f.command(ctx, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
		}
		return "", fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}
