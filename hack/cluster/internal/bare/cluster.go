// Package bare runs a single-node Kubernetes cluster on a Debian machine without
// Docker and without access to a registry. It builds the programs from Go
// modules and the server images from Debian packages, and runs them in separate
// Linux namespaces (package node), which the kernel removes with the cluster.
//
// Every operation can be interrupted at any point and repeated.
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

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/cluster/internal/release"
	"ecommerce-stack.dev/hack/cluster/internal/rootfs"
	"ecommerce-stack.dev/hack/internal/debian"
	"ecommerce-stack.dev/hack/internal/port"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/state"
)

// Cluster is a bare cluster, identified by the folder of its state, Dir.
type Cluster struct {
	Root     string // of the checkout
	Cache    string // the folder of what remains after Down
	Dir      node.Dir
	Port     int // of the gateway on this machine
	Progress *progress.Printer
}

// plan is the desired state of a cluster.
type plan struct {
	bin      string // the folder of the programs
	files    map[string]string
	config   node.Config
	archives map[string]string // paths of the archives of required images, by reference
}

// Up creates or updates the cluster to the configuration of this checkout and
// returns when it is ready for use. Call Preflight first.
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
	c.Progress.Printf("  ! The supervisor ended during the start: starting the cluster again")
	return c.converge(plan)
}

// converge starts the planned cluster, or restarts it if it runs with another
// configuration, and waits until it is ready.
func (c *Cluster) converge(plan plan) error {
	record, running := node.Running(c.Dir)
	if running && record.Fingerprint != plan.config.Fingerprint {
		if err := c.Progress.Run("Stop the cluster to change its configuration", func(func(string)) error { return node.Stop(c.Dir) }); err != nil {
			return err
		}
		running = false
	}
	if !running {
		if err := c.start(plan); err != nil {
			return err
		}
	}
	return c.completeStart(plan)
}

// lock acquires the lock that serializes `up` and `down`.
func (c *Cluster) lock() (*state.Lock, error) {
	return state.Acquire(filepath.Join(c.Cache, "cluster.lock"), func() {
		c.Progress.Printf("  … waiting for another program that is changing the cluster")
	})
}

// prepare installs packages, builds programs and images, and returns the plan.
// It does not change a running cluster.
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
		pause:                      pauseArchive,
		mysql.UniqueReference():    mysql.Archive(c.Cache),
		rabbitmq.UniqueReference(): rabbitmq.Archive(c.Cache),
	}
	return result, err
}

// plan renders the configuration and computes its fingerprint, which includes
// the certificates, because the programs read them only when they start.
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
		Files:             c.sysctlBinds(),
	}}, nil
}

func (c *Cluster) sysctlBinds() []node.Bind {
	var files []node.Bind
	for name := range sysctls {
		files = append(files, node.Bind{From: c.Dir.Path("config", sysctlFile(name)), To: filepath.Join("/proc/sys", name)})
	}
	return files
}

// start starts the supervisor of a cluster that does not run, after it has
// removed what an earlier cluster left behind.
func (c *Cluster) start(plan plan) error {
	return c.Progress.Run("Start the cluster's supervisor", func(func(string)) error {
		if err := node.Stop(c.Dir); err != nil { // a supervisor that has not written its record yet
			return err
		}
		if err := c.removeCgroups(); err != nil {
			return err
		}
		if err := c.removeIncompleteDatabase(); err != nil {
			return err
		}
		if err := c.createFolders(); err != nil {
			return err
		}
		for name, text := range plan.files {
			if err := state.Write(c.Dir.Path("config", name), []byte(text), 0o600); err != nil {
				return err
			}
		}
		if err := c.createCgroups(); err != nil {
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
		program, err := c.copyProgram()
		if err != nil {
			return err
		}
		if err := node.Start(c.Dir, plan.config, []string{program, "supervise", string(c.Dir)}, []*net.TCPListener{gateway, api}); err != nil {
			return fmt.Errorf("%w\n%s", err, c.tail("supervisor"))
		}
		return nil
	})
}

// listen opens the host's sockets that the supervisor forwards: the gateway's
// port, and for the API server its previous port, or 6443, or any free port.
func (c *Cluster) listen() (gateway, api *net.TCPListener, err error) {
	if gateway, err = listenLoopback(c.Port); err != nil {
		return nil, nil, port.Check(c.Port)
	}
	var port int
	if err := state.ReadJSON(c.Dir.Path("api-port"), &port); err != nil {
		port = 6443
	}
	if api, err = listenLoopback(port); err != nil {
		api, err = listenLoopback(0)
	}
	if err != nil {
		gateway.Close()
		return nil, nil, err
	}
	return gateway, api, state.WriteJSON(c.Dir.Path("api-port"), api.Addr().(*net.TCPAddr).Port)
}

func listenLoopback(port int) (*net.TCPListener, error) {
	return net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
}

// removeIncompleteDatabase removes etcd's database if no manifests have been
// applied. etcd cannot recover if it is killed while it creates its database.
func (c *Cluster) removeIncompleteDatabase() error {
	if _, err := os.Stat(c.appliedMarker()); err == nil {
		return nil
	}
	return os.RemoveAll(c.Dir.Path("etcd"))
}

// createFolders creates the cluster's folders. It records in made.json which
// mount points it creates outside the cluster's folder, so that Down removes them.
func (c *Cluster) createFolders() error {
	for _, name := range []string{"etcd", "containerd", "kubelet", "log/containers", "volumes", "config/cni"} {
		if err := os.MkdirAll(c.Dir.Path(name), 0o700); err != nil {
			return err
		}
	}
	created, err := c.createdFolders()
	if err != nil {
		return err
	}
	for _, path := range []string{kubeletRoot, containerLogs} {
		if _, err := os.Stat(path); err == nil {
			continue
		}
		created = append(created, path)
		if err := state.WriteJSON(c.Dir.Path("made.json"), created); err != nil {
			return err
		}
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) createdFolders() ([]string, error) {
	var created []string
	err := state.ReadJSON(c.Dir.Path("made.json"), &created)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return created, err
}

// copyProgram copies this executable into the cluster's folder and returns the
// path, because `go run` deletes the executable that it runs.
func (c *Cluster) copyProgram() (string, error) {
	data, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return "", err
	}
	path := c.Dir.Path("supervisor")
	return path, state.Write(path, data, 0o700)
}

// Down stops the cluster and removes everything that it created except the
// caches. It does nothing if no cluster exists.
func (c *Cluster) Down() error {
	lock, err := c.lock()
	if err != nil {
		return err
	}
	defer lock.Close()
	if _, err := os.Stat(string(c.Dir)); errors.Is(err, fs.ErrNotExist) {
		c.Progress.Printf("No cluster exists.")
		return nil
	}
	if os.Geteuid() != 0 {
		return errors.New("the cluster belongs to root: run this command with `sudo -E`")
	}
	if err := c.Progress.Run("Stop the cluster", func(func(string)) error { return node.Stop(c.Dir) }); err != nil {
		return err
	}
	return c.Progress.Run("Remove the cluster's files", func(func(string)) error { return c.remove() })
}

func (c *Cluster) remove() error {
	if err := c.removeCgroups(); err != nil {
		return err
	}
	created, err := c.createdFolders()
	if err != nil {
		return err
	}
	for _, path := range created {
		// Remove fails if the folder is not empty: then something else uses it.
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.Progress.Printf("  ! %s is not empty: it is not removed", path)
		}
	}
	mountinfo, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if foreign := mountsBelow(string(mountinfo), string(c.Dir)); len(foreign) > 0 {
		return fmt.Errorf("remove the cluster's files: mounts that the cluster did not create exist at %s: unmount them, then run this again", strings.Join(foreign, ", "))
	}
	return os.RemoveAll(string(c.Dir))
}

// mountsBelow returns the mount points below a folder.
func mountsBelow(mountinfo, folder string) []string {
	var found []string
	for line := range strings.Lines(mountinfo) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], folder+"/") {
			found = append(found, fields[4])
		}
	}
	return found
}
