package chart_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/internal/chart"
)

// TestEveryPodIsRestricted checks the Pod Security level "restricted"
// (https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted). It
// also requires a read-only root file system, a dedicated service account and no API token.
func TestEveryPodIsRestricted(t *testing.T) {
	t.Parallel()
	pods := 0
	for _, c := range cases(t) {
		for _, object := range c.render(t) {
			spec, found := podSpec(t, object)
			if !found {
				continue
			}
			pods++
			for _, fault := range faults(c.chart, spec) {
				t.Errorf("%s: %s %s: %s", c.name, object.GetKind(), object.GetName(), fault)
			}
		}
	}
	if pods < 7 {
		t.Errorf("%d pods were checked, want one for each chart", pods)
	}
}

func podSpec(t *testing.T, object *unstructured.Unstructured) (corev1.PodSpec, bool) {
	t.Helper()
	var spec corev1.PodSpec
	raw, found, err := unstructured.NestedMap(object.Object, "spec", "template", "spec")
	if err != nil {
		t.Fatal(err)
	}
	if found {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw, &spec); err != nil {
			t.Fatal(err)
		}
	}
	return spec, found
}

func faults(chart string, spec corev1.PodSpec) []string {
	var found []string
	check := func(ok bool, fault string) {
		if !ok {
			found = append(found, fault)
		}
	}
	security := spec.SecurityContext
	check(security != nil && security.RunAsNonRoot != nil && *security.RunAsNonRoot, "may run as root")
	check(security != nil && security.RunAsUser != nil && *security.RunAsUser > 0, "names no user")
	check(security != nil && security.SeccompProfile != nil && security.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
		"has no seccomp profile")
	check(!spec.HostNetwork && !spec.HostPID && !spec.HostIPC, "uses the host's namespaces")
	check(spec.ServiceAccountName != "" && spec.ServiceAccountName != "default", "has no account of its own")
	if chart != "operator" {
		check(spec.AutomountServiceAccountToken != nil && !*spec.AutomountServiceAccountToken, "mounts a token")
	}
	for _, volume := range spec.Volumes {
		check(volume.HostPath == nil, "mounts the host's "+volume.Name)
		check(volume.EmptyDir == nil || volume.EmptyDir.SizeLimit != nil, "has no limit of the size of "+volume.Name)
	}
	for _, container := range append(spec.InitContainers, spec.Containers...) {
		context := container.SecurityContext
		check(context != nil && context.AllowPrivilegeEscalation != nil && !*context.AllowPrivilegeEscalation, container.Name+" may gain privileges")
		check(context != nil && context.ReadOnlyRootFilesystem != nil && *context.ReadOnlyRootFilesystem, container.Name+" may write to its image")
		check(context != nil && context.Capabilities != nil && len(context.Capabilities.Add) == 0 &&
			len(context.Capabilities.Drop) == 1 && context.Capabilities.Drop[0] == "ALL", container.Name+" keeps capabilities")
		check(!container.Resources.Limits.Memory().IsZero() && !container.Resources.Requests.Cpu().IsZero(), container.Name+" has no limits")
		for _, port := range container.Ports {
			check(port.HostPort == 0, container.Name+" takes a port of the host")
		}
	}
	for _, container := range spec.Containers {
		check(container.ReadinessProbe != nil && container.LivenessProbe != nil && container.StartupProbe != nil, container.Name+" lacks a probe")
	}
	return found
}

// TestPoliciesNameTheNamespacesOfTheirPeers accepts any namespace for the port of the metrics
// only.
func TestPoliciesNameTheNamespacesOfTheirPeers(t *testing.T) {
	t.Parallel()
	loaded, err := chart.Load(charts.Names...)
	if err != nil {
		t.Fatal(err)
	}
	for name, metrics := range map[string]int32{charts.MySQL: 9104, charts.RabbitMQ: 15692, charts.Auth: 9090, charts.Sales: 9090, charts.Stock: 9090, charts.Gateway: 9090} {
		values := map[string]any{}
		if name == charts.MySQL || name == charts.RabbitMQ {
			values["networkPolicy"] = map[string]any{"operatorNamespace": "ecommerce-system"}
		}
		objects, err := loaded.Render(name, release, namespace, values)
		if err != nil {
			t.Fatal(err)
		}
		policies, bound := 0, false
		for _, object := range objects {
			if object.GetKind() != "NetworkPolicy" {
				continue
			}
			policies++
			var policy networkingv1.NetworkPolicy
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &policy); err != nil {
				t.Fatal(err)
			}
			for _, rule := range policy.Spec.Ingress {
				for _, peer := range rule.From {
					if peer.NamespaceSelector == nil {
						continue // the namespace of the stack
					}
					bound = bound || peer.NamespaceSelector.MatchLabels[corev1.LabelMetadataName] == "ecommerce-system"
					isAny := len(peer.NamespaceSelector.MatchLabels) == 0 && len(peer.NamespaceSelector.MatchExpressions) == 0
					if isAny && (len(rule.Ports) != 1 || rule.Ports[0].Port.IntVal != metrics) {
						t.Errorf("%s: any namespace reaches the ports %v", name, rule.Ports)
					}
				}
			}
		}
		if policies != 1 || bound != (values["networkPolicy"] != nil) {
			t.Errorf("%s: %d policies, operator bound to its namespace %t", name, policies, bound)
		}
	}
}
