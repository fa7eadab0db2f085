package chart_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
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
