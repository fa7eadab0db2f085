package bare

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/internal/node"
)

const legacy = `22 27 0:21 / /proc rw,relatime - proc proc rw
30 23 0:25 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 23 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 23 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const modern = "30 23 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

func TestTheKubeletsHierarchiesAreOfOneVersion(t *testing.T) {
	all, kubelets := hierarchies(legacy)
	if len(all) != 3 || len(kubelets) != 2 || kubelets[0].unified || kubelets[0].path != "/sys/fs/cgroup/cpu" {
		t.Errorf("version 1: all %v, the kubelet's %v", all, kubelets)
	}
	all, kubelets = hierarchies(modern)
	if len(all) != 1 || len(kubelets) != 1 || !kubelets[0].unified || kubelets[0].path != "/sys/fs/cgroup" {
		t.Errorf("version 2: all %v, the kubelet's %v", all, kubelets)
	}
}

func TestEachClusterHasAControlGroupOfItsOwn(t *testing.T) {
	one, two := &Cluster{Dir: "/a/cluster"}, &Cluster{Dir: "/b/cluster"}
	if one.cgroupName() == two.cgroupName() {
		t.Errorf("both have %s", one.cgroupName())
	}
	if name := one.cgroupName(); !strings.HasPrefix(name, "ecommerce-stack-") || len(name) != len("ecommerce-stack-")+8 {
		t.Errorf("the group is called %s", name)
	}
}

func TestGroupsAreRemovedTheDeepestFirst(t *testing.T) {
	group := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(group, "kubepods", "pod1", "container"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is none
		if err := removeGroup(group); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(group); err == nil {
		t.Error("the group stays")
	}
}

func TestForeignMountsBelowTheClusterAreFound(t *testing.T) {
	mountinfo := "1 2 0:1 / /cache/cluster/data rw - ext4 /dev/x rw\n1 2 0:1 / /cache/cluster2 rw - ext4 /dev/x rw\n"
	if got := mountsBelow(mountinfo, "/cache/cluster"); !slices.Equal(got, []string{"/cache/cluster/data"}) {
		t.Errorf("found %q", got)
	}
}

func TestWhatIsInTheWayNamesTheFix(t *testing.T) {
	for _, c := range []struct {
		err error
		fix string
	}{
		{suits("darwin", 0), "PROVIDER=kind"},
		{suits("linux", 1000), "sudo -E"},
		{enough("/cache", spaceToBuild-1, spaceToBuild), "XDG_CACHE_HOME"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.fix) {
			t.Errorf("error %v, want one that says %s", c.err, c.fix)
		}
	}
	if err := errors.Join(suits("linux", 0), enough("/cache", spaceToBuild, spaceToBuild)); err != nil {
		t.Errorf("nothing is in the way, but: %v", err)
	}
}

func TestATakenPortNamesItsHolder(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	if err := checkPort(listener.Addr().(*net.TCPAddr).Port); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("error %v", err)
	}
	line := `LISTEN 0 4096 127.0.0.1:5001 0.0.0.0:* users:(("gateway",pid=812,fd=7))`
	if got, want := parseHolder(line), " by gateway (pid 812)"; got != want {
		t.Errorf("holder %q, want %q", got, want)
	}
	if got := parseHolder(""); got != "" {
		t.Errorf("holder %q of a free port", got)
	}
}

func TestAnotherConfigurationHasAnotherFingerprint(t *testing.T) {
	c := sampleCluster(t)
	files, err := c.renderConfiguration("pause:1")
	if err != nil {
		t.Fatal(err)
	}
	print := func(files map[string]string, programs, certificates string) string {
		t.Helper()
		result, err := fingerprint(files, []node.Component{{Name: "etcd"}}, programs, certificates)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	base := print(files, "p", "c")
	again, err := c.renderConfiguration("pause:1")
	if err != nil {
		t.Fatal(err)
	}
	if print(again, "p", "c") != base {
		t.Error("the same configuration has two fingerprints")
	}
	other, err := c.renderConfiguration("pause:2")
	if err != nil {
		t.Fatal(err)
	}
	for name, changed := range map[string]string{"image": print(other, "p", "c"), "program": print(files, "q", "c"), "certificate": print(files, "p", "d")} {
		if changed == base {
			t.Errorf("another %s has the same fingerprint", name)
		}
	}
}

func TestConfigurationIsComplete(t *testing.T) {
	files, err := sampleCluster(t).renderConfiguration("pause:1")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
			t.Errorf("%s has a gap:\n%s", name, text)
		}
	}
	if want := `sandbox_image = "pause:1"`; !strings.Contains(files["containerd.toml"], want) {
		t.Errorf("containerd.toml lacks %q", want)
	}
}

func TestKubeconfigsArePrivate(t *testing.T) {
	c := sampleCluster(t)
	if err := c.writeCertificates(); err != nil {
		t.Fatal(err)
	}
	if err := c.writeKubeconfigs(6443); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{c.Dir.Kubeconfig(), c.kubeconfigOf("kubelet")} {
		info, err := os.Stat(path)
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v, %v; want mode 0600", path, info, err)
		}
	}
	data, _ := os.ReadFile(c.Dir.Kubeconfig())
	if !strings.Contains(string(data), "server: https://127.0.0.1:6443") {
		t.Error("the administrator's kubeconfig does not lead to the host's port")
	}
}

// TestNothingSecretIsOnACommandLine: the process list shows arguments to all.
func TestNothingSecretIsOnACommandLine(t *testing.T) {
	c := sampleCluster(t)
	for _, flags := range [][]string{c.apiserverFlags(), c.controllerManagerFlags()} {
		for _, flag := range flags {
			if name, value, _ := strings.Cut(flag, "="); strings.Contains(name, "key") && !strings.HasPrefix(value, string(c.Dir)) {
				t.Errorf("%s is no file of the cluster", flag)
			}
		}
	}
}

func TestTheManifestsAgreeWithTheNode(t *testing.T) {
	for _, want := range []string{"provisioner: " + node.Provisioner, "clusterIP: " + node.DNSService, "addresses: [" + node.Address + "]", "name: " + node.StorageClass} {
		if !strings.Contains(string(manifests), want) {
			t.Errorf("manifests.yaml lacks %q", want)
		}
	}
}

func TestComponentsThatAreNotReadyAreNamed(t *testing.T) {
	statuses := []node.Status{{Name: "etcd", Ready: true, Since: time.Now()}, {Name: "kubelet"}}
	if got, want := notReady([]string{"etcd", "kubelet", "coredns"}, statuses), []string{"kubelet", "coredns"}; !slices.Equal(got, want) {
		t.Errorf("not ready %q, want %q", got, want)
	}
}

func TestADatabaseIsDroppedOnlyWhileItIsEmpty(t *testing.T) {
	c := sampleCluster(t)
	data := c.Dir.Path("etcd", "member")
	for _, applied := range []bool{false, true} {
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if applied {
			if err := os.WriteFile(c.applied(), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.dropHalfDatabase(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(data); (err == nil) != applied {
			t.Errorf("with manifests applied (%v) the database is there: %v", applied, err == nil)
		}
	}
}

func sampleCluster(t *testing.T) *Cluster {
	t.Helper()
	return &Cluster{Dir: node.Dir(filepath.Join(t.TempDir(), "cluster"))}
}
