// Package node is a Kubernetes node in a box: one supervisor process that lives
// in mount, pid and network namespaces of its own, and the components of a
// single-node cluster that it starts there and keeps running.
//
// The namespaces are what makes the cluster safe to kill. The supervisor is the
// first process of its pid namespace, so when it ends, however it ends, the
// kernel ends everything in the cluster with it; and with the last process go
// the mounts, network interfaces and packet filter tables that were made inside.
// Nothing of this was ever visible to the host's own namespaces. What can be
// left behind is only empty control groups and files, both under names of ours.
//
// The node reaches no other machine: its network has an end in the host only
// where the supervisor forwards a listening socket that it was given.
package node

import (
	"path/filepath"
	"time"

	"ecommerce-stack.dev/hack/internal/process"
)

// Addresses inside the node's own network; the host never sees them.
const (
	Name        = "ecommerce-stack"
	Address     = "10.245.0.1"
	PodNetwork  = "10.244.0.0/16"
	ServiceNet  = "10.96.0.0/16"
	APIService  = "10.96.0.1"
	DNSService  = "10.96.0.10"
	Provisioner = "ecommerce-stack.dev/volume"
)

// Dir is the folder that holds everything a cluster is made of.
type Dir string

// Path returns a path below the folder.
func (d Dir) Path(elements ...string) string {
	return filepath.Join(append([]string{string(d)}, elements...)...)
}

// Kubeconfig is the administrator's, for the host.
func (d Dir) Kubeconfig() string { return d.Path("kubeconfig") }

// Log is where a component writes.
func (d Dir) Log(component string) string { return d.Path("log", component+".log") }

// Containerd is the socket of the cluster's own containerd.
func (d Dir) Containerd() string { return d.Path("containerd.sock") }

func (d Dir) config() string { return d.Path("node.json") }
func (d Dir) record() string { return d.Path("supervisor.json") }
func (d Dir) lock() string   { return d.Path("supervisor.lock") }
func (d Dir) status() string { return d.Path("status.json") }

// Config is what a supervisor is to run. It is written before the supervisor
// starts and does not change while it runs.
type Config struct {
	// Fingerprint is of everything that decides how the cluster runs: a running
	// cluster with another one has to be started anew.
	Fingerprint string      `json:"fingerprint"`
	Components  []Component `json:"components"`
	// Forwards are addresses inside, in the order of the listening sockets that
	// the supervisor is given.
	Forwards []string `json:"forwards"`
	// VolumesKubeconfig is for the provisioner of volumes.
	VolumesKubeconfig string `json:"volumesKubeconfig"`
	// Binds are folders to be seen under other names, Files files to be seen in
	// the place of others.
	Binds []Bind `json:"binds"`
	Files []Bind `json:"files"`
}

// Bind makes From seen at To, inside.
type Bind struct{ From, To string }

// Component is one program to keep running.
type Component struct {
	Name string   `json:"name"`
	Args []string `json:"args"` // the program, by its path, and its arguments
	// After names the components that have to be ready before this one starts.
	After []string `json:"after,omitempty"`
	// Probe is an address that answers when the component is ready: an http or
	// https URL, or unix: and the path of a socket.
	Probe string `json:"probe"`
}

// Status is how a component fares.
type Status struct {
	Name     string    `json:"name"`
	PID      int       `json:"pid"` // inside the node; 0 when it does not run
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Ready    bool      `json:"ready"`
	LastExit string    `json:"lastExit,omitempty"`
}

// Record is how a supervisor is found again.
type Record struct {
	process.ID
	Fingerprint string    `json:"fingerprint"`
	Started     time.Time `json:"started"`
}
