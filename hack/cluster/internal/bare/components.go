package bare

import (
	"fmt"
	"os/exec"
	"path/filepath"

	"ecommerce-stack.dev/hack/cluster/internal/node"
)

// components returns the programs that run on the node, in the order of their
// start. bin is the folder of the built programs; containerd is the machine's.
func (c *Cluster) components(bin string) ([]node.Component, error) {
	containerd, err := exec.LookPath("containerd")
	if err != nil {
		return nil, fmt.Errorf("find containerd: %w", err)
	}
	api := fmt.Sprintf("https://%s:6443", node.Address)
	program := func(name string) string { return filepath.Join(bin, name) }
	components := []node.Component{
		{
			Name: "etcd", Probe: "http://127.0.0.1:2379/health",
			// Plain HTTP is safe on the loopback interface of the node's network namespace.
			Args: []string{program("etcd"), "--data-dir=" + c.Dir.Path("etcd"), "--name=" + node.Name,
				"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
				"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
				"--initial-cluster=" + node.Name + "=http://127.0.0.1:2380", "--log-level=warn"},
		},
		{
			Name: "containerd", Probe: "unix:" + c.Dir.Containerd(),
			Args: []string{containerd, "--config", c.Dir.Path("config", "containerd.toml"), "--log-level=warn"},
		},
		{
			Name: "kube-apiserver", Probe: api + "/readyz", After: []string{"etcd"},
			Args: append([]string{program("kube-apiserver")}, c.apiserverFlags()...),
		},
		{
			Name: "kube-controller-manager", Probe: "https://127.0.0.1:10257/healthz", After: []string{"kube-apiserver"},
			Args: append([]string{program("kube-controller-manager")}, c.controllerManagerFlags()...),
		},
		{
			Name: "kube-scheduler", Probe: "https://127.0.0.1:10259/healthz", After: []string{"kube-apiserver"},
			Args: []string{program("kube-scheduler"), "--kubeconfig=" + c.kubeconfigOf("kube-scheduler"),
				"--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"},
		},
		{
			Name: "kubelet", Probe: "http://127.0.0.1:10248/healthz", After: []string{"kube-apiserver", "containerd"},
			Args: []string{program("kubelet"), "--config=" + c.Dir.Path("config", "kubelet.yaml"),
				"--kubeconfig=" + c.kubeconfigOf("kubelet"), "--hostname-override=" + node.Name, "--node-ip=" + node.Address,
				"--root-dir=" + kubeletRoot},
		},
		{
			Name: "kube-proxy", Probe: "http://127.0.0.1:10256/livez", After: []string{"kube-apiserver"},
			Args: []string{program("kube-proxy"), "--config=" + c.Dir.Path("config", "kube-proxy.yaml")},
		},
		{
			Name: "coredns", Probe: "http://127.0.0.1:8181/ready", After: []string{"kube-apiserver"},
			Args: []string{program("coredns"), "-conf", c.Dir.Path("config", "Corefile")},
		},
	}
	return components, nil
}

// kubeletRoot is the kubelet's default folder. Parts of the kubelet look for
// sockets there even if --root-dir differs, so the cluster's folder is mounted
// there inside the node.
const (
	kubeletRoot   = "/var/lib/kubelet"
	containerLogs = "/var/log/containers"
)

func (c *Cluster) apiserverFlags() []string {
	file := func(name string) string { return c.Dir.Path("pki", name) }
	return []string{
		"--advertise-address=" + node.Address,
		"--bind-address=" + node.Address,
		"--secure-port=6443",
		"--etcd-servers=http://127.0.0.1:2379",
		"--service-cluster-ip-range=" + node.ServiceNet,
		"--tls-cert-file=" + file("kube-apiserver.crt"),
		"--tls-private-key-file=" + file("kube-apiserver.key"),
		"--client-ca-file=" + file("ca.crt"),
		"--kubelet-client-certificate=" + file("kubelet-client.crt"),
		"--kubelet-client-key=" + file("kubelet-client.key"),
		"--kubelet-certificate-authority=" + file("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + file("service-accounts.pub"),
		"--service-account-signing-key-file=" + file("service-accounts.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
	}
}

func (c *Cluster) controllerManagerFlags() []string {
	return []string{
		"--kubeconfig=" + c.kubeconfigOf("kube-controller-manager"),
		"--bind-address=127.0.0.1",
		"--leader-elect=false",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + c.Dir.Path("pki", "service-accounts.key"),
		"--root-ca-file=" + c.Dir.Path("pki", "ca.crt"),
		"--cluster-signing-cert-file=" + c.Dir.Path("pki", "ca.crt"),
		"--cluster-signing-key-file=" + c.Dir.Path("pki", "ca.key"),
		"--allocate-node-cidrs=false", // the network plugin assigns the addresses of the only node
		"--profiling=false",
	}
}
