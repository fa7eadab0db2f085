package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
)

var root = filepath.Join("..", "..")

// objects returns the objects of the manifests of all servers. Unknown fields fail the test.
func objects(t *testing.T) []runtime.Object {
	t.Helper()
	references := map[string]string{"prometheus": "p:1", "alertmanager": "a:1", "jaeger": "j:1", "grafana": "g:1"}
	servers, err := upCommand{imagesCommand: imagesCommand{Tracing: true}}.servers(root, references, true)
	if err != nil {
		t.Fatal(err)
	}
	text, err := manifests(servers)
	if err != nil {
		t.Fatal(err)
	}
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all []runtime.Object
	for document := range strings.SplitSeq(text, "\n---\n") {
		object, _, err := strict.Decode([]byte(document), nil, nil)
		if err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		all = append(all, object)
	}
	return all
}

// of returns the objects of one type.
func of[T runtime.Object](all []runtime.Object) []T {
	var found []T
	for _, object := range all {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

func TestPodsRunRestrictedAndBounded(t *testing.T) {
	t.Parallel()
	deployments := of[*appsv1.Deployment](objects(t))
	if len(deployments) != 4 {
		t.Fatalf("%d Deployments, want 4", len(deployments))
	}
	for _, d := range deployments {
		pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
		if !*pod.SecurityContext.RunAsNonRoot || !*c.SecurityContext.ReadOnlyRootFilesystem || *c.SecurityContext.AllowPrivilegeEscalation {
			t.Errorf("%s: it does not run as the Pod Security level restricted requires", d.Name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Memory().Cmp(*c.Resources.Limits.Memory()) > 0 {
			t.Errorf("%s: limits %v, requests %v", d.Name, c.Resources.Limits, c.Resources.Requests)
		}
		if *pod.AutomountServiceAccountToken != (d.Name == "prometheus") {
			t.Errorf("%s: only Prometheus calls the API server", d.Name)
		}
	}
}

func TestPrometheusMayOnlyReadPods(t *testing.T) {
	t.Parallel()
	roles := of[*rbacv1.ClusterRole](objects(t))
	want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}}}
	if len(roles) != 1 || roles[0].Name != clusterRole {
		t.Fatalf("ClusterRoles %v, want %s", roles, clusterRole)
	}
	if diff := cmp.Diff(want, roles[0].Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// TestVolumesExist checks that each ConfigMap that a pod mounts is created, and that the files
// that the arguments name are in it.
func TestVolumesExist(t *testing.T) {
	t.Parallel()
	all := objects(t)
	content := map[string]map[string]string{}
	for _, c := range of[*corev1.ConfigMap](all) {
		content[c.Name] = c.Data
	}
	for _, d := range of[*appsv1.Deployment](all) {
		for _, v := range d.Spec.Template.Spec.Volumes {
			if v.ConfigMap != nil && content[v.ConfigMap.Name] == nil {
				t.Errorf("%s: the ConfigMap %s does not exist", d.Name, v.ConfigMap.Name)
			}
		}
		for _, argument := range d.Spec.Template.Spec.Containers[0].Args {
			if _, file, ok := strings.Cut(argument, "=/etc/"+d.Name+"/"); ok && content[d.Name][file] == "" {
				t.Errorf("%s: %s does not exist", d.Name, argument)
			}
		}
	}
	if len(content["grafana-dashboards"]) < 8 || content["prometheus"]["rules.yaml"] == "" {
		t.Error("the dashboards or the rules are missing")
	}
}

func TestNetworkPolicyAdmitsTraces(t *testing.T) {
	t.Parallel()
	policies := of[*networkingv1.NetworkPolicy](objects(t))
	if len(policies) != 1 {
		t.Fatalf("%d NetworkPolicies, want 1", len(policies))
	}
	ports := map[int]bool{}
	for _, rule := range policies[0].Spec.Ingress {
		for _, p := range rule.Ports {
			ports[p.Port.IntValue()] = true
		}
	}
	if !cmp.Equal(ports, map[int]bool{4318: true}) || !strings.HasSuffix(endpoint, ":4318") {
		t.Errorf("other namespaces reach the ports %v, and traces go to %s", ports, endpoint)
	}
}

func TestChangedConfigurationReplacesPod(t *testing.T) {
	t.Parallel()
	one := server{Configuration: map[string]string{"a": "1"}}
	two := server{Configuration: map[string]string{"a": "2"}}
	first, err := one.ConfigHash()
	if err != nil {
		t.Fatal(err)
	}
	if second, err := two.ConfigHash(); err != nil || first == second {
		t.Errorf("hashes %s and %s, %v; want different ones", first, second, err)
	}
}

func TestDocumentedScrapeConfigurationIsTheSame(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(filepath.Join(root, "docs", "observability.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindSubmatch(document)
	if block == nil {
		t.Fatal("docs/observability.md has no scrape_configs")
	}
	configuration, err := configFiles("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	var want, got struct {
		Jobs []any `yaml:"scrape_configs"`
	}
	if err := yaml.Unmarshal([]byte(configuration["prometheus.yaml"]), &want); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(block[1], &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("scrape_configs (-hack/observe +documented):\n%s", diff)
	}
}

// TestFastRulesChangeOnlyDurations compares the fast rules with the committed ones.
func TestFastRulesChangeOnlyDurations(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	rules := string(content)
	fast := fastRules(rules)
	if waits := regexp.MustCompile(`\sfor: (\w+)`).FindAllStringSubmatch(fast, -1); len(waits) == 0 || slices.ContainsFunc(waits, func(w []string) bool { return w[1] != fastFor && w[1] != "0s" }) {
		t.Errorf("alerts wait for %v, want %s", waits, fastFor)
	}
	if strings.Contains(fast, "[5m]") {
		t.Error("a range of 5 minutes remains")
	}
	durations := regexp.MustCompile(`(for: )\w+|\[\w+\]`)
	if diff := cmp.Diff(durations.ReplaceAllString(rules, "$1"), durations.ReplaceAllString(fast, "$1")); diff != "" {
		t.Errorf("more than durations changed:\n%s", diff)
	}
}

func TestArgumentErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		arguments []string
		message   string
	}{
		{nil, `expected one of "up", "images", "down"`},
		{[]string{"upp"}, "unexpected argument upp"},
		{[]string{"up", "--fast"}, "unknown flag --fast"},
	} {
		if err := run(t.Context(), c.arguments); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%v: error %v, want %q", c.arguments, err, c.message)
		}
	}
}

func TestRecipeIsPartOfTheTag(t *testing.T) {
	t.Parallel()
	one := images["alertmanager"]
	two := one
	two.program.Flags = []string{"-tags", "other"}
	reference, file := one.local("go1.26.7", "cache")
	otherFlags, _ := two.local("go1.26.7", "cache")
	otherGo, _ := one.local("go1.27.0", "cache")
	if reference == otherFlags || reference == otherGo {
		t.Errorf("other recipes have the same reference %s", reference)
	}
	if !strings.HasPrefix(file, filepath.Join("cache", "observe", "alertmanager-0.35.0-")) {
		t.Errorf("the archive is %s", file)
	}
	for name, i := range images {
		if i.name != name || !strings.Contains(i.registry, i.version) {
			t.Errorf("%s: name %s, version %s, reference %s", name, i.name, i.version, i.registry)
		}
	}
}
