package bare

import (
	"ecommerce-stack.dev/hack/cluster/internal/release"
	"ecommerce-stack.dev/hack/internal/debian"
)

// Packages are the Debian packages that the cluster requires. The containerd of
// Docker's containerd.io package works too, because the cluster runs it with a
// separate configuration and separate sockets.
var Packages = []debian.Package{
	{Name: "containerd", Has: []string{"containerd", "ctr", "containerd-shim-runc-v2"}},
	{Name: "runc", Has: []string{"runc"}},
	{Name: "containernetworking-plugins", Has: []string{cniPlugins + "/ptp", cniPlugins + "/host-local"}},
	{Name: "nftables", Has: []string{"nft"}},
	{Name: "iproute2", Has: []string{"ip"}},
	{Name: "debootstrap", Has: []string{"debootstrap"}},
	{Name: "ca-certificates", Has: []string{"/etc/ssl/certs/ca-certificates.crt"}},
	{Name: "curl", Has: []string{"curl"}}, // for the commands that `make up` and the README show
	release.Etcd,
}

const cniPlugins = "/usr/lib/cni"
