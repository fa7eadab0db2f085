package kind

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"

	"ecommerce-stack.dev/hack/internal/archive"
	"ecommerce-stack.dev/hack/internal/progress"
	"ecommerce-stack.dev/hack/internal/workspace"
)

// Objects of a cluster as `kubectl get nodes,storageclasses` prints them.
const (
	readyNode    = `{"kind":"Node","spec":{},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`
	notReadyNode = `{"kind":"Node","spec":{},"status":{"conditions":[{"type":"Ready","status":"False"}]}}`
	taintedNode  = `{"kind":"Node","spec":{"taints":[{"key":"node-role.kubernetes.io/control-plane"}]},"status":{"conditions":[{"type":"Ready","status":"True"}]}}`
	storage      = `{"kind":"StorageClass","spec":null,"status":null}`
)

func items(objects ...string) string { return `{"items":[` + strings.Join(objects, ",") + `]}` }

const (
	createCommand = "kind create cluster"
	removeCommand = "kind delete cluster"
	exportCommand = "kind export kubeconfig"
)

// fake is a kind and a Docker engine with prepared responses.
type fake struct {
	*Cluster
	ran []string
	// responses by the beginning of a command; of several for one, the last remains.
	responses map[string][]response
}

type response struct {
	out string
	err error
}

func newFake(t *testing.T, responses map[string][]response) *fake {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	root, err := workspace.Root()
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{responses: responses}
	f.Cluster = &Cluster{Root: root, Kubeconfig: filepath.Join(t.TempDir(), "cluster", "kubeconfig"), Port: 6001,
		Progress: progress.New(null), Run: f.run, Wait: time.Millisecond}
	return f
}

func (f *fake) run(name string, args ...string) (string, error) {
	command := strings.Join(append([]string{name}, args...), " ")
	f.ran = append(f.ran, command)
	for prefix, list := range f.responses {
		if strings.HasPrefix(command, prefix) {
			if len(list) > 1 {
				f.responses[prefix] = list[1:]
			}
			return list[0].out, list[0].err
		}
	}
	return "", nil
}

// has reports whether a command with the prefix ran.
func (f *fake) has(prefix string) bool {
	return slices.ContainsFunc(f.ran, func(c string) bool { return strings.HasPrefix(c, prefix) })
}

func TestUpMakesWholeCluster(t *testing.T) {
	const list, inspect, objects = "kind get clusters", "docker inspect", "docker exec ecommerce-stack-control-plane kubectl"
	exists := []response{{out: "other\necommerce-stack\n"}}
	running := []response{{out: "running\n"}}
	whole := []response{{out: items(readyNode, storage)}}
	for name, c := range map[string]struct {
		responses map[string][]response
		want      []string
		wantNot   []string
	}{
		"missing":  {map[string][]response{list: {{out: "other\n"}}}, []string{createCommand}, []string{removeCommand, exportCommand}},
		"complete": {map[string][]response{list: exists, inspect: running, objects: whole}, []string{exportCommand}, []string{createCommand, removeCommand, "docker start"}},
		"stopped": {map[string][]response{list: exists, inspect: {{out: "exited\n"}}, objects: {{err: errors.New("connection refused")}, {out: items(notReadyNode, storage)}, whole[0]}},
			[]string{"docker start ecommerce-stack-control-plane", exportCommand}, []string{createCommand, removeCommand}},
		"paused": {map[string][]response{list: exists, inspect: {{out: "paused\n"}}, objects: whole},
			[]string{"docker unpause ecommerce-stack-control-plane", exportCommand}, []string{createCommand, removeCommand}},
		"without a node":         {map[string][]response{list: exists, inspect: {{err: errors.New("no such object")}}}, []string{removeCommand, createCommand}, nil},
		"without an API server":  {map[string][]response{list: exists, inspect: running, objects: {{err: errors.New("stat /etc/kubernetes/admin.conf: no such file")}}}, []string{removeCommand, createCommand}, nil},
		"with the taint":         {map[string][]response{list: exists, inspect: running, objects: {{out: items(taintedNode, storage)}}}, []string{removeCommand, createCommand}, nil},
		"without a StorageClass": {map[string][]response{list: exists, inspect: running, objects: {{out: items(readyNode)}}}, []string{removeCommand, createCommand}, nil},
	} {
		f := newFake(t, c.responses)
		if err := f.Up(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, command := range c.want {
			if !f.has(command) {
				t.Errorf("%s: %q did not run; %q did", name, command, f.ran)
			}
		}
		for _, command := range c.wantNot {
			if f.has(command) {
				t.Errorf("%s: %q ran", name, command)
			}
		}
	}
}

func TestFailedCreationLeavesNothingAndNamesTheHolderOfThePort(t *testing.T) {
	f := newFake(t, map[string][]response{
		createCommand: {{err: errors.New("Bind for 127.0.0.1:6001 failed: port is already allocated")}},
		"docker ps":   {{out: "registry (registry:2)\n"}},
	})
	err := f.Up()
	if err == nil || !strings.Contains(err.Error(), "port 6001 is in use by the container registry (registry:2)") || !strings.Contains(err.Error(), "PORT=") {
		t.Errorf("error %v", err)
	}
	if !f.has(removeCommand) {
		t.Errorf("the half of a cluster is not deleted: %q", f.ran)
	}
}

func TestConfigurationHasThePort(t *testing.T) {
	f := newFake(t, nil)
	if err := f.Up(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(filepath.Dir(f.Kubeconfig), "kind.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var configuration struct {
		Nodes []struct {
			ExtraPortMappings []struct{ ContainerPort, HostPort int }
		}
		KubeadmConfigPatches []string
	}
	if err := yaml.Unmarshal(content, &configuration); err != nil {
		t.Fatal(err)
	}
	if len(configuration.Nodes) != 1 || configuration.Nodes[0].ExtraPortMappings[0] != struct{ ContainerPort, HostPort int }{30501, 6001} {
		t.Errorf("nodes %+v, want one that maps 30501 to 6001", configuration.Nodes)
	}
	if !strings.Contains(strings.Join(configuration.KubeadmConfigPatches, ""), "failCgroupV1: false") {
		t.Error("a host with cgroup v1 is refused")
	}
}

func TestOnlyMissingImagesAreLoaded(t *testing.T) {
	var archives []string
	for _, name := range []string{"old", "new"} {
		layer, err := archive.NewLayer([]archive.Entry{{Name: "file", Mode: 0o644, Data: []byte(name)}})
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name+".tar")
		if err := archive.Write(path, archive.Image{References: []string{"localhost/" + name + ":1"}, Config: v1.Config{}, Layer: layer}); err != nil {
			t.Fatal(err)
		}
		archives = append(archives, path)
	}
	f := newFake(t, map[string][]response{"docker exec ecommerce-stack-control-plane crictl images": {{out: `{"images":[{"repoTags":["localhost/old:1","x:2"]}]}`}}})
	if err := f.Load(archives); err != nil {
		t.Fatal(err)
	}
	if f.has("kind load image-archive "+archives[0]) || !f.has("kind load image-archive "+archives[1]+" --name ecommerce-stack") {
		t.Errorf("ran %q, want the new image only", f.ran)
	}
}

func TestLogsAndStatus(t *testing.T) {
	responses := map[string][]response{
		"kind get clusters": {{out: Name}},
		"docker exec ecommerce-stack-control-plane sh -c ls": {{out: "kube-apiserver-x_kube-system_kube-apiserver-1.log\ndemo-sales_shop_sales-2.log\n"}},
		"docker exec ecommerce-stack-control-plane tail":     {{out: "a line of the API server"}},
		"docker exec ecommerce-stack-control-plane journal":  {{out: "a line of a service"}},
		"docker exec ecommerce-stack-control-plane kubectl":  {{out: "pod/demo"}},
		"docker ps": {{out: "NAMES STATUS"}},
	}
	for component, want := range map[string][]string{
		"": {"==> kubelet <==", "==> containerd <==", "==> kube-apiserver", "a line of the API server"}, "kube-apiserver": {"a line of the API server"}, "kubelet": {"a line of a service"},
	} {
		var out bytes.Buffer
		f := newFake(t, responses)
		if err := f.Logs(&out, component, 40); err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(out.String(), text) {
				t.Errorf("logs of %q lack %q:\n%s", component, text, out.String())
			}
		}
		if strings.Contains(out.String(), "demo-sales") || component == "kubelet" && f.has("docker exec ecommerce-stack-control-plane tail") {
			t.Errorf("logs of %q have others:\n%s", component, out.String())
		}
	}
	if err := newFake(t, responses).Logs(new(bytes.Buffer), "nothing", 40); err == nil || !strings.Contains(err.Error(), "kubelet") {
		t.Errorf("logs of an unknown component: %v", err)
	}
	var out bytes.Buffer
	if err := newFake(t, responses).Status(&out); err != nil || !strings.Contains(out.String(), "pod/demo") || !strings.Contains(out.String(), "NAMES STATUS") {
		t.Errorf("status %v\n%s", err, out.String())
	}
	for name, err := range map[string]error{"status": newFake(t, nil).Status(&out), "logs": newFake(t, nil).Logs(&out, "", 1)} {
		if err == nil || !strings.Contains(err.Error(), "make up") {
			t.Errorf("%s without a cluster: %v", name, err)
		}
	}
}
