// Package node implements a Kubernetes node in Linux namespaces: a supervisor
// process with separate mount, PID and network namespaces starts and restarts
// the components of a single-node cluster.
//
// The namespaces make the cluster safe to kill. The supervisor is the first
// process of its PID namespace, so the kernel kills all processes of the cluster
// when the supervisor ends for any reason. With the last process the kernel
// removes the mounts, network interfaces and packet filter tables, which are
// never visible in the host's namespaces. Only files and empty control groups
// with names of this project can remain.
//
// The node cannot connect to other machines. The host connects to the node only
// through listening sockets that it passes to the supervisor.
package node

import (
	"path/filepath"
	"time"

	"ecommerce-stack.dev/hack/internal/process"
)

// Names and addresses inside the node. The host's network does not contain them.
const (
	Name        = "ecommerce-stack"
	Address     = "10.245.0.1"
	PodNetwork  = "10.244.0.0/16"
	ServiceNet  = "10.96.0.0/16"
	APIService  = "10.96.0.1"
	DNSService  = "10.96.0.10"
	Provisioner = "ecommerce-stack.dev/volume"
)

// Dir is the folder with the state of a cluster.
type Dir string

// Path joins the elements to a path below the folder.
func (d Dir) Path(elements ...string) string {
	return filepath.Join(append([]string{string(d)}, elements...)...)
}

// Kubeconfig returns the path of the administrator's kubeconfig for the host.
func (d Dir) Kubeconfig() string { return d.Path("kubeconfig") }

// Log returns the path of a component's log.
func (d Dir) Log(component string) string { return d.Path("log", component+".log") }

// Containerd returns the path of the socket of the cluster's containerd.
func (d Dir) Containerd() string { return d.Path("containerd.sock") }

func (d Dir) config() string { return d.Path("node.json") }
func (d Dir) record() string { return d.Path("supervisor.json") }
func (d Dir) lock() string   { return d.Path("supervisor.lock") }
func (d Dir) status() string { return d.Path("status.json") }

// Config is the configuration of a supervisor. It does not change while the
// supervisor runs.
type Config struct {
	// Fingerprint is a hash of everything that requires a restart of the cluster
	// when it changes.
	Fingerprint string      `json:"fingerprint"`
	Components  []Component `json:"components"`
	// Forwards are the addresses inside the node that connections to the
	// listeners of Start are forwarded to, in the order of the listeners.
	Forwards []string `json:"forwards"`
	// VolumesKubeconfig is the path of the volume provisioner's kubeconfig.
	VolumesKubeconfig string `json:"volumesKubeconfig"`
	// Binds are bind mounts of folders, Files bind mounts of files.
	Binds []Bind `json:"binds"`
	Files []Bind `json:"files"`
}

// Bind is a bind mount of the host's path From at To inside the node.
type Bind struct{ From, To string }

// Component is a program that the supervisor runs and restarts.
type Component struct {
	Name string   `json:"name"`
	Args []string `json:"args"` // the program, by its path, and its arguments
	// After lists the components that must be ready before this one starts.
	After []string `json:"after,omitempty"`
	// Probe is the address of the readiness probe: an http or https URL that
	// returns 200, or unix: and the path of a socket that accepts connections.
	Probe string `json:"probe"`
}

// Status is the state of a component.
type Status struct {
	Name     string    `json:"name"`
	PID      int       `json:"pid"` // in the node's PID namespace; 0 if it does not run
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Ready    bool      `json:"ready"`
	LastExit string    `json:"lastExit,omitempty"`
}

// Record identifies a running supervisor.
type Record struct {
	process.ID
	Fingerprint string    `json:"fingerprint"`
	Started     time.Time `json:"started"`
}
