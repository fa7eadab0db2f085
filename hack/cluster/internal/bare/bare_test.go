package bare

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ecommerce-stack.dev/hack/cluster/internal/node"
)

const mountinfoV1 = `22 27 0:21 / /proc rw,relatime - proc proc rw
30 23 0:25 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
31 23 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
32 23 0:27 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const mountinfoV2 = "30 23 0:25 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

func TestKubeletUsesHierarchiesOfOneVersion(t *testing.T) {
	all, kubelets := hierarchies(mountinfoV1)
	if len(all) != 3 || len(kubelets) != 2 || kubelets[0].unified || kubelets[0].path != "/sys/fs/cgroup/cpu" {
		t.Errorf("version 1: all %v, kubelet %v", all, kubelets)
	}
	all, kubelets = hierarchies(mountinfoV2)
	if len(all) != 1 || len(kubelets) != 1 || !kubelets[0].unified || kubelets[0].path != "/sys/fs/cgroup" {
		t.Errorf("version 2: all %v, kubelet %v", all, kubelets)
	}
}

func TestClustersHaveDifferentControlGroups(t *testing.T) {
	one, two := &Cluster{Dir: "/a/cluster"}, &Cluster{Dir: "/b/cluster"}
	if one.cgroupName() == two.cgroupName() {
		t.Errorf("both clusters use %s", one.cgroupName())
	}
	if name := one.cgroupName(); !strings.HasPrefix(name, "ecommerce-stack-") || len(name) != len("ecommerce-stack-")+8 {
		t.Errorf("the group name is %s", name)
	}
}

func TestRemoveGroupRemovesNestedGroups(t *testing.T) {
	group := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(group, "kubepods", "pod1", "container"), 0o755); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second call finds no group
		if err := removeGroup(group); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(group); err == nil {
		t.Error("the group still exists")
	}
}

func TestMountsBelowFindsForeignMounts(t *testing.T) {
	mountinfo := "1 2 0:1 / /cache/cluster/data rw - ext4 /dev/x rw\n1 2 0:1 / /cache/cluster2 rw - ext4 /dev/x rw\n"
	if got := mountsBelow(mountinfo, "/cache/cluster"); !slices.Equal(got, []string{"/cache/cluster/data"}) {
		t.Errorf("found %q", got)
	}
}

func TestPreflightErrorsNameTheFix(t *testing.T) {
	for _, c := range []struct {
		err error
		fix string
	}{
		{checkHost("darwin", 0), "PROVIDER=kind"},
		{checkHost("linux", 1000), "sudo -E"},
		{checkFreeSpace("/cache", buildSpace-1, buildSpace), "XDG_CACHE_HOME"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.fix) {
			t.Errorf("error %v, want one that contains %s", c.err, c.fix)
		}
	}
	if err := errors.Join(checkHost("linux", 0), checkFreeSpace("/cache", buildSpace, buildSpace)); err != nil {
		t.Errorf("a suitable machine is rejected: %v", err)
	}
}

func TestFingerprintChangesWithConfiguration(t *testing.T) {
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

func TestRenderedConfigurationHasNoPlaceholders(t *testing.T) {
	files, err := sampleCluster(t).renderConfiguration("pause:1")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if strings.Contains(text, "<no value>") || strings.Contains(text, "{{") {
			t.Errorf("%s has a placeholder without a value:\n%s", name, text)
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
		t.Error("the administrator's kubeconfig does not use the forwarded port")
	}
}

// TestCommandLinesContainNoSecrets checks flags because every user can read the
// arguments of a process.
func TestCommandLinesContainNoSecrets(t *testing.T) {
	c := sampleCluster(t)
	for _, flags := range [][]string{c.apiserverFlags(), c.controllerManagerFlags()} {
		for _, flag := range flags {
			if name, value, _ := strings.Cut(flag, "="); strings.Contains(name, "key") && !strings.HasPrefix(value, string(c.Dir)) {
				t.Errorf("%s does not name a file below the cluster's folder", flag)
			}
		}
	}
}

func TestManifestsMatchNodeConstants(t *testing.T) {
	for _, want := range []string{"provisioner: " + node.Provisioner, "clusterIP: " + node.DNSService, "addresses: [" + node.Address + "]", "name: " + node.StorageClass} {
		if !strings.Contains(string(manifests), want) {
			t.Errorf("manifests.yaml lacks %q", want)
		}
	}
}

func TestNotReadyListsComponents(t *testing.T) {
	statuses := []node.Status{{Name: "etcd", Ready: true, Since: time.Now()}, {Name: "kubelet"}}
	if got, want := notReady([]string{"etcd", "kubelet", "coredns"}, statuses), []string{"kubelet", "coredns"}; !slices.Equal(got, want) {
		t.Errorf("not ready %q, want %q", got, want)
	}
}

func TestDatabaseIsRemovedOnlyBeforeManifestsAreApplied(t *testing.T) {
	c := sampleCluster(t)
	data := c.Dir.Path("etcd", "member")
	for _, applied := range []bool{false, true} {
		if err := os.MkdirAll(data, 0o700); err != nil {
			t.Fatal(err)
		}
		if applied {
			if err := os.WriteFile(c.appliedMarker(), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.removeIncompleteDatabase(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(data); (err == nil) != applied {
			t.Errorf("with manifests applied (%v) the database exists: %v", applied, err == nil)
		}
	}
}

func sampleCluster(t *testing.T) *Cluster {
	t.Helper()
	return &Cluster{Dir: node.Dir(filepath.Join(t.TempDir(), "cluster"))}
}
