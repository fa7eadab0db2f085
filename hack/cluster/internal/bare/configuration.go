package bare

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"ecommerce-stack.dev/hack/cluster/internal/node"
	"ecommerce-stack.dev/hack/cluster/internal/pki"
	"ecommerce-stack.dev/hack/internal/state"
)

// Templates of the components' configuration files; their data is configValues.
var (
	//go:embed containerd.toml
	containerdTOML string
	//go:embed kubelet.yaml
	kubeletYAML string
	//go:embed kube-proxy.yaml
	kubeProxyYAML string
	//go:embed Corefile
	corefile string
	//go:embed network.conflist
	networkConflist string
)

type configValues struct {
	Dir        node.Dir
	Address    string
	PodNetwork string
	DNSService string
	NodeName   string
	CNIPlugins string
	Cgroup     string
	PauseImage string
}

// users are the clients of the API server, each with a certificate and a
// kubeconfig.
var users = []pki.Certificate{
	{Name: "kube-controller-manager", User: "system:kube-controller-manager"},
	{Name: "kube-scheduler", User: "system:kube-scheduler"},
	{Name: "kube-proxy", User: "system:kube-proxy"},
	{Name: "kubelet", User: "system:node:" + node.Name, Groups: []string{"system:nodes"}},
	{Name: "coredns", User: "ecommerce-stack:coredns"},
	{Name: "volumes", User: "ecommerce-stack:volumes"},
}

const administrator = "administrator"

// writeCertificates creates the cluster's certificates and keys, and renews
// certificates that have changed or expire soon.
func (c *Cluster) writeCertificates() error {
	dir := c.Dir.Path("pki")
	authority, err := pki.Open(dir)
	if err != nil {
		return err
	}
	address, service, loopback := net.ParseIP(node.Address), net.ParseIP(node.APIService), net.IPv4(127, 0, 0, 1)
	certificates := append([]pki.Certificate{
		{Name: "kube-apiserver", User: "kube-apiserver", Server: true,
			DNSNames: []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"},
			IPs:      []net.IP{address, service, loopback}},
		{Name: "kubelet-server", User: node.Name, Server: true, DNSNames: []string{node.Name}, IPs: []net.IP{address}},
		{Name: "kubelet-client", User: "kube-apiserver-kubelet-client"},
		{Name: administrator, User: administrator, Groups: []string{"system:masters"}},
	}, users...)
	for _, certificate := range certificates {
		if err := authority.Ensure(certificate); err != nil {
			return err
		}
	}
	return pki.EnsureKeyPair(dir, "service-accounts")
}

// writeKubeconfigs writes a kubeconfig for each user inside the node, and the
// administrator's for the host, where apiPort is forwarded to the API server.
func (c *Cluster) writeKubeconfigs(apiPort int) error {
	inside := fmt.Sprintf("https://%s:6443", node.Address)
	for _, user := range users {
		if err := c.writeKubeconfig(c.kubeconfigOf(user.Name), inside, user.Name); err != nil {
			return err
		}
	}
	return c.writeKubeconfig(c.Dir.Kubeconfig(), fmt.Sprintf("https://127.0.0.1:%d", apiPort), administrator)
}

func (c *Cluster) kubeconfigOf(user string) string {
	return c.Dir.Path("config", user+".kubeconfig")
}

func (c *Cluster) writeKubeconfig(path, server, user string) error {
	config := clientcmdapi.NewConfig()
	cluster, credentials := &clientcmdapi.Cluster{Server: server}, &clientcmdapi.AuthInfo{}
	for name, field := range map[string]*[]byte{
		"ca.crt":      &cluster.CertificateAuthorityData,
		user + ".crt": &credentials.ClientCertificateData,
		user + ".key": &credentials.ClientKeyData,
	} {
		data, err := os.ReadFile(c.Dir.Path("pki", name))
		if err != nil {
			return err
		}
		*field = data
	}
	config.Clusters[node.Name] = cluster
	config.AuthInfos[user] = credentials
	config.Contexts[node.Name] = &clientcmdapi.Context{Cluster: node.Name, AuthInfo: user}
	config.CurrentContext = node.Name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return state.Write(path, data, 0o600)
}

// renderConfiguration returns the components' configuration files by name.
func (c *Cluster) renderConfiguration(pause string) (map[string]string, error) {
	values := configValues{
		Dir: c.Dir, Address: node.Address, PodNetwork: node.PodNetwork, DNSService: node.DNSService,
		NodeName: node.Name, CNIPlugins: cniPlugins, Cgroup: c.cgroupName(), PauseImage: pause,
	}
	files := map[string]string{"resolv.conf": ""} // only the cluster's DNS server resolves names
	for name, text := range map[string]string{
		"containerd.toml": containerdTOML, "kubelet.yaml": kubeletYAML, "kube-proxy.yaml": kubeProxyYAML,
		"Corefile": corefile, "cni/network.conflist": networkConflist,
	} {
		parsed, err := template.New(name).Parse(text)
		if err != nil {
			return nil, err
		}
		var file bytes.Buffer
		if err := parsed.Execute(&file, values); err != nil {
			return nil, err
		}
		files[name] = file.String()
	}
	for name, value := range sysctls {
		files[sysctlFile(name)] = value
	}
	return files, nil
}

// sysctls are the kernel settings that the kubelet requires. Files with these
// contents are mounted over the settings inside the node, because a development
// cluster must not change how the whole machine behaves on a kernel panic.
var sysctls = map[string]string{
	"kernel/keys/root_maxbytes": "25000000",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
}

func sysctlFile(sysctl string) string { return "sysctl/" + strings.ReplaceAll(sysctl, "/", ".") }

// fingerprint returns a hash of everything that requires a restart when it
// changes.
func fingerprint(files map[string]string, components []node.Component, programs, certificates string) (string, error) {
	digest := sha256.New()
	// Maps are encoded in the order of their keys.
	err := json.NewEncoder(digest).Encode([]any{files, components, programs, certificates})
	return hex.EncodeToString(digest.Sum(nil)), err
}

// certificatesDigest returns a hash of the cluster's certificates.
func (c *Cluster) certificatesDigest() (string, error) {
	digest := sha256.New()
	paths, err := filepath.Glob(c.Dir.Path("pki", "*.crt"))
	if err != nil {
		return "", err
	}
	for _, path := range paths { // Glob sorts them
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		digest.Write(data)
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}
