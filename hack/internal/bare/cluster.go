// Package bare runs a single-node Kubernetes cluster on a Debian machine that
// has neither Docker nor a way to a registry: its programs are built from Go
// modules, its server images from Debian packages, and it lives in namespaces
// of its own (package node), so that it leaves no trace when it goes.
//
// Everything may be killed at any point and run again.
package bare

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/node"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/release"
	"ecommerce-stack.dev/hack/internal/rootfs"
	"ecommerce-stack.dev/hack/internal/state"
)

// Cluster is a bare cluster: the one whose state is in Dir.
type Cluster struct {
	Root     string // of the checkout
	Cache    string // what outlives clusters
	Dir      node.Dir
	Progress *progress.Printer
}

// plan is what a cluster is to be.
type plan struct {
	bin      string // the programs
	files    map[string]string
	config   node.Config
	archives map[string]string // images to have, by reference
}

// Up brings the cluster to what this checkout describes, from whatever state it
// is in, and returns when it is ready for use. Preflight comes before it.
func (c *Cluster) Up() error {
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	plan, err := c.prepare()
	if err != nil {
		return err
	}
	if err := c.converge(plan); err == nil {
		return nil
	} else if _, running := node.Running(c.Dir); running {
		return err
	}
	c.Progress.Printf("  ! The supervisor was ended meanwhile: starting the cluster again")
	return c.converge(plan)
}

// converge makes the running cluster the planned one.
func (c *Cluster) converge(plan plan) error {
	record, running := node.Running(c.Dir)
	if running && record.Fingerprint != plan.config.Fingerprint {
		if err := c.Progress.Run("Stop the cluster, which runs an older configuration", func(func(string)) error { return node.Stop(c.Dir) }); err != nil {
			return err
		}
		running = false
	}
	if !running {
		if err := c.start(plan); err != nil {
			return err
		}
	}
	return c.finish(plan)
}

// lock keeps a second `up` or `down` waiting.
func (c *Cluster) lock() (*state.Lock, error) {
	return state.Acquire(filepath.Join(c.Cache, "cluster.lock"), func() {
		c.Progress.Printf("  … another program is at work on the cluster: waiting for it")
	})
}

// prepare gets everything that takes long and plans the cluster. Nothing of a
// running one is touched.
func (c *Cluster) prepare() (plan, error) {
	if missing := debian.Missing(Packages); len(missing) > 0 {
		err := c.Progress.Run("Install "+strings.Join(missing, ", "), func(detail func(string)) error {
			return debian.Install(Packages, detail)
		})
		if err != nil {
			return plan{}, err
		}
	}
	bin, err := release.Ensure(c.Progress, c.Root, c.Cache)
	if err != nil {
		return plan{}, err
	}
	mysql, err := rootfs.Ensure(c.Progress, c.Cache, rootfs.MySQL)
	if err != nil {
		return plan{}, err
	}
	rabbitmq, err := rootfs.Ensure(c.Progress, c.Cache, rootfs.RabbitMQ)
	if err != nil {
		return plan{}, err
	}
	pause, pauseArchive, err := c.pauseImage(bin)
	if err != nil {
		return plan{}, err
	}
	result, err := c.plan(bin, pause)
	result.archives = map[string]string{
		pause:            pauseArchive,
		mysql.Exact():    mysql.Archive(c.Cache),
		rabbitmq.Exact(): rabbitmq.Archive(c.Cache),
	}
	return result, err
}

// plan renders the configuration and takes its fingerprint. The certificates
// are part of it: programs read theirs when they start.
func (c *Cluster) plan(bin, pause string) (plan, error) {
	if err := c.writeCertificates(); err != nil {
		return plan{}, err
	}
	certificates, err := c.certificatesDigest()
	if err != nil {
		return plan{}, err
	}
	files, err := c.renderConfiguration(pause)
	if err != nil {
		return plan{}, err
	}
	components, err := c.components(bin)
	if err != nil {
		return plan{}, err
	}
	programs, err := release.Digest(bin)
	if err != nil {
		return plan{}, err
	}
	print, err := fingerprint(files, components, programs, certificates)
	if err != nil {
		return plan{}, err
	}
	return plan{bin: bin, files: files, config: node.Config{
		Fingerprint:       print,
		Components:        components,
		Forwards:          []string{net.JoinHostPort(node.Address, strconv.Itoa(gatewayNodePort)), net.JoinHostPort(node.Address, "6443")},
		VolumesKubeconfig: c.kubeconfigOf("volumes"),
		Binds:             []node.Bind{{From: c.Dir.Path("kubelet"), To: kubeletRoot}, {From: c.Dir.Path("log", "containers"), To: containerLogs}},
		Files:             c.shadows(),
	}}, nil
}

func (c *Cluster) shadows() []node.Bind {
	var files []node.Bind
	for name := range sysctls {
		files = append(files, node.Bind{From: c.Dir.Path("config", shadow(name)), To: filepath.Join("/proc/sys", name)})
	}
	return files
}

// start starts the supervisor of a cluster that does not run, after clearing
// what an earlier one may have left.
func (c *Cluster) start(plan plan) error {
	return c.Progress.Run("Start the cluster's supervisor", func(func(string)) error {
		if err := node.Stop(c.Dir); err != nil { // one that has only just begun
			return err
		}
		if err := c.removeCgroups(); err != nil {
			return err
		}
		if err := c.dropHalfDatabase(); err != nil {
			return err
		}
		if err := c.makeFolders(); err != nil {
			return err
		}
		for name, text := range plan.files {
			if err := state.Write(c.Dir.Path("config", name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		if err := c.makeCgroups(); err != nil {
			return err
		}
		gateway, api, err := c.listen()
		if err != nil {
			return err
		}
		defer gateway.Close()
		defer api.Close()
		if err := c.writeKubeconfigs(api.Addr().(*net.TCPAddr).Port); err != nil {
			return err
		}
		program, err := c.keepProgram()
		if err != nil {
			return err
		}
		if err := node.Start(c.Dir, plan.config, []string{program, "supervise", string(c.Dir)}, []*net.TCPListener{gateway, api}); err != nil {
			return fmt.Errorf("%w\n%s", err, c.tail("supervisor"))
		}
		return nil
	})
}

// listen opens the host's ends of what is forwarded: the gateway's port, and
// for the API server its usual port, the one it had before, or any.
func (c *Cluster) listen() (gateway, api *net.TCPListener, err error) {
	if gateway, err = listen(gatewayPort); err != nil {
		return nil, nil, checkPort(gatewayPort)
	}
	var port int
	if err := state.ReadJSON(c.Dir.Path("api-port"), &port); err != nil {
		port = 6443
	}
	if api, err = listen(port); err != nil {
		api, err = listen(0)
	}
	if err != nil {
		gateway.Close()
		return nil, nil, err
	}
	return gateway, api, state.WriteJSON(c.Dir.Path("api-port"), api.Addr().(*net.TCPAddr).Port)
}

func listen(port int) (*net.TCPListener, error) {
	return net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
}

// dropHalfDatabase removes a database that was killed while it was made: etcd
// does not recover from that, and there is nothing in it yet.
func (c *Cluster) dropHalfDatabase() error {
	if _, err := os.Stat(c.applied()); err == nil {
		return nil
	}
	return os.RemoveAll(c.Dir.Path("etcd"))
}

// makeFolders makes the cluster's folders, and remembers those it makes
// elsewhere: the places that the node's own folders cover, inside.
func (c *Cluster) makeFolders() error {
	for _, name := range []string{"etcd", "containerd", "kubelet", "log/containers", "volumes", "config/cni"} {
		if err := os.MkdirAll(c.Dir.Path(name), 0o700); err != nil {
			return err
		}
	}
	made, err := c.madeFolders()
	if err != nil {
		return err
	}
	for _, path := range []string{kubeletRoot, containerLogs} {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		made = append(made, path)
		if err := state.WriteJSON(c.Dir.Path("made.json"), made); err != nil {
			return err
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) madeFolders() ([]string, error) {
	var made []string
	err := state.ReadJSON(c.Dir.Path("made.json"), &made)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return made, err
}

// keepProgram copies this program to where it stays: `go run` deletes it.
func (c *Cluster) keepProgram() (string, error) {
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	path := c.Dir.Path("supervisor")
	return path, state.Write(path, data, 0o700)
}

// Down ends the cluster and removes all that it made, but for the caches.
func (c *Cluster) Down() error {
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(string(c.Dir)); errors.Is(err, fs.ErrNotExist) {
		c.Progress.Printf("There is no cluster.")
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("root made the cluster: run this with `sudo -E`")
	}
	if err := c.Progress.Run("Stop the cluster", func(func(string)) error { return node.Stop(c.Dir) }); err != nil {
		return err
	}
	return c.Progress.Run("Remove what it made", func(func(string)) error { return c.remove() })
}

func (c *Cluster) remove() error {
	if err := c.removeCgroups(); err != nil {
		return err
	}
	made, err := c.madeFolders()
	if err != nil {
		return err
	}
	for _, path := range made {
		// Not if somebody has put something there since.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.Progress.Printf("  ! %s is in use by something else and stays", path)
		}
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if foreign := mountsBelow(string(mountinfo), string(c.Dir)); len(foreign) > 0 {
		return fmt.Errorf("something that the cluster did not mount is mounted at %s: unmount it, then run this again", strings.Join(foreign, ", "))
	}
	return os.RemoveAll(string(c.Dir))
}

// mountsBelow lists the mount points below a folder.
func mountsBelow(mountinfo, folder string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], folder+"/") {
			found = append(found, fields[4])
		}
	}
	return found
}
