package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/chart"
)

var prometheusRule = apply.PodMonitor.GroupVersion().WithKind("PrometheusRule")

// The steps are one test because the CRDs are cluster-scoped, and no other test may depend
// on whether they are installed. The stacks of other tests have no PodMonitors.
func TestPodMonitorsFollowTheSpecAndThePrometheusOperator(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.Observability.PodMonitors = nil
	f.startOptionalObjects(t)
	f.makeReady(t)
	message := f.waitFor(t, v1alpha1.ConditionPodMonitorsApplied, metav1.ConditionFalse)
	if !strings.Contains(message, "Services have scrape annotations instead") {
		t.Errorf("message %q does not say how metrics are scraped", message)
	}
	f.checkScraping(t, false)

	definitions := envtest.CRDInstallOptions{Paths: monitoringDefinitions(t)}
	if _, err := envtest.InstallCRDs(apiServer, definitions); err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, v1alpha1.ConditionPodMonitorsApplied, metav1.ConditionTrue)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	f.checkScraping(t, true)
	f.checkTargetLabels(t)
	f.checkOptionalObjects(t)
	f.eventually(t, func(context.Context) error { return f.checkNoWritesFor(2, writes.of(f.namespace)) })

	changed := f.monitor(t, "demo-sales")
	if err := unstructured.SetNestedField(changed.Object, map[string]any{"matchLabels": map[string]any{"x": "y"}}, "spec", "selector"); err != nil {
		t.Fatal(err)
	}
	if err := api.Update(context.Background(), changed); err != nil {
		t.Fatal(err)
	}
	f.waitForEvent(t, "DriftHealed", "apply PodMonitor demo-sales")
	f.checkScraping(t, true)

	no := false
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Observability.PodMonitors = &no })
	f.checkScraping(t, false)
	f.eventually(t, func(context.Context) error {
		if meta.FindStatusCondition(f.live(t).Status.Conditions, v1alpha1.ConditionPodMonitorsApplied) != nil {
			return errors.New("the condition is still there")
		}
		return nil
	})
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Observability.PodMonitors = nil })
	f.checkScraping(t, true)
	if err := envtest.UninstallCRDs(apiServer, definitions); err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, v1alpha1.ConditionPodMonitorsApplied, metav1.ConditionFalse)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

// monitoringDefinitions generates the CRDs from the types of the Prometheus Operator, as its
// maintainers do, and returns their paths.
func monitoringDefinitions(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	command := exec.CommandContext(t.Context(), "go", "run", "sigs.k8s.io/controller-tools/cmd/controller-gen@v0.23.0", "crd:maxDescLen=0",
		"paths=github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1", "output:crd:dir="+folder)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("generate the CRDs of the Prometheus Operator: %v\n%s", err, output)
	}
	return []string{
		filepath.Join(folder, "monitoring.coreos.com_podmonitors.yaml"), filepath.Join(folder, "monitoring.coreos.com_prometheusrules.yaml"),
	}
}

// checkScraping waits until each service has a PodMonitor and no scrape annotations, or the
// other way round.
func (f *fixture) checkScraping(t *testing.T, byPodMonitor bool) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		for service, port := range map[string]string{"demo-auth": "demo-auth", "demo-sales": "demo-sales", "demo-stock": "demo-stock", "demo-gateway": "demo-gateway-metrics"} {
			monitor := &unstructured.Unstructured{}
			monitor.SetGroupVersionKind(apply.PodMonitor)
			err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: service}, monitor)
			if err != nil && !apply.IsNotServed(err) {
				return err
			}
			selected, _, _ := unstructured.NestedString(monitor.Object, "spec", "selector", "matchLabels", "app.kubernetes.io/instance")
			annotated := &corev1.Service{}
			if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: port}, annotated); err != nil {
				return err
			}
			annotation := annotated.Annotations["prometheus.io/scrape"]
			if (selected == "demo") != byPodMonitor || (annotation == "true") == byPodMonitor {
				return fmt.Errorf("%s: the PodMonitor selects stack %q, and prometheus.io/scrape is %q", service, selected, annotation)
			}
		}
		return nil
	})
}

func (f *fixture) monitor(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	monitor := &unstructured.Unstructured{}
	monitor.SetGroupVersionKind(apply.PodMonitor)
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: name}, monitor); err != nil {
		t.Fatal(err)
	}
	return monitor
}

// checkTargetLabels compares the labels of a target with those that the dashboards and
// alerts use, and requires that every field of the PodMonitor exists in the API.
func (f *fixture) checkTargetLabels(t *testing.T) {
	t.Helper()
	var monitor monitoringv1.PodMonitor
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(f.monitor(t, "demo-sales").Object, &monitor, true); err != nil {
		t.Fatal(err)
	}
	discovered := map[string]string{
		"__meta_kubernetes_namespace": f.namespace, "__meta_kubernetes_pod_name": "demo-sales-1",
		"__meta_kubernetes_pod_label_app_kubernetes_io_instance": "demo", "__meta_kubernetes_pod_label_app_kubernetes_io_name": "sales",
	}
	got := map[string]string{}
	endpoint := monitor.Spec.PodMetricsEndpoints[0]
	for _, r := range endpoint.RelabelConfigs {
		got[r.TargetLabel] = discovered[string(r.SourceLabels[0])]
	}
	if diff := cmp.Diff(map[string]string{"namespace": f.namespace, "stack": "demo", "service": "sales", "pod": "demo-sales-1"}, got); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if *endpoint.Port != "metrics" || endpoint.Path != "/metrics" {
		t.Errorf("port %s, path %s, want metrics and /metrics", *endpoint.Port, endpoint.Path)
	}
	if got := monitor.Labels["release"]; got != "prometheus" {
		t.Errorf("label release %q, want that of the operator's options", got)
	}
}

// startOptionalObjects installs the ConfigMaps of the operator's chart in the namespace of
// the fixture, and applies the objects in them until the test ends.
func (f *fixture) startOptionalObjects(t *testing.T) {
	t.Helper()
	loaded, err := chart.Load(charts.Operator)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := loaded.Render(charts.Operator, "ecommerce", f.namespace, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := &optionalObjects{applier: apply.New(api, api), apiReader: api, namespace: f.namespace, interval: testResync / 4}
	for _, object := range objects {
		if _, found, _ := unstructured.NestedString(object.Object, "data", "object.yaml"); found {
			f.create(t, object)
			o.configMaps = append(o.configMaps, object.GetName())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan error)
	go func() { stopped <- o.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// checkOptionalObjects checks that the operator's own objects exist, belong to their
// ConfigMaps and are created again.
func (f *fixture) checkOptionalObjects(t *testing.T) {
	t.Helper()
	for kind, typed := range map[schema.GroupVersionKind]any{apply.PodMonitor: &monitoringv1.PodMonitor{}, prometheusRule: &monitoringv1.PrometheusRule{}} {
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(kind)
		exists := func(ctx context.Context) error {
			return api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "ecommerce-operator"}, object)
		}
		f.eventually(t, exists)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true); err != nil {
			t.Error(err)
		}
		owners := object.GetOwnerReferences()
		if len(owners) != 1 || owners[0].Kind != "ConfigMap" || owners[0].UID == "" {
			t.Errorf("%s has the owners %v, want its ConfigMap", kind.Kind, owners)
		}
		if err := api.Delete(context.Background(), object); err != nil {
			t.Fatal(err)
		}
		f.eventually(t, exists)
	}
}

func TestTracingSetsEnvironmentAndNetworkPolicy(t *testing.T) {
	t.Parallel()
	stack := defaultedStack()
	for _, service := range services {
		for name := range environment(t, render(t, stack, service, "Deployment")) {
			if strings.HasPrefix(name, "OTEL_") {
				t.Errorf("%s: %s is set without tracing", service, name)
			}
		}
	}
	for _, c := range []struct {
		endpoint string
		port     int64
	}{
		{"http://otel-collector.observability:4318", 4318}, {"https://otlp.example/shop", 443}, {"http://otlp.example", 80}, {"http://[fd00::1]:4318", 4318}, {"https://[fd00::1]", 443},
	} {
		stack.Spec.Observability.Tracing = &v1alpha1.TracingSpec{Endpoint: c.endpoint, SamplingRatio: "0.25"}
		stack.Spec.Sales.Env = []v1alpha1.EnvVar{{Name: "OTEL_TRACES_SAMPLER_ARG", Value: "1"}}
		for _, service := range services {
			got := environment(t, render(t, stack, service, "Deployment"))
			want := map[string]string{
				"OTEL_EXPORTER_OTLP_ENDPOINT": c.endpoint, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.25",
				"OTEL_SERVICE_NAME":        service,
				"OTEL_RESOURCE_ATTRIBUTES": "service.namespace=demo,k8s.namespace.name=shop,k8s.pod.name=$(POD_NAME)",
			}
			if service == charts.Sales {
				want["OTEL_TRACES_SAMPLER_ARG"] = "1"
			}
			for name, value := range want {
				if got[name] != value {
					t.Errorf("%s: %s is %q, want %q", service, name, got[name], value)
				}
			}
			if !allowsEgress(t, render(t, stack, service, "NetworkPolicy"), c.port) {
				t.Errorf("%s: the NetworkPolicy does not allow connections to port %d of %s", service, c.port, c.endpoint)
			}
		}
	}
}

// allowsEgress reports whether the policy allows connections to a TCP port of any address.
func allowsEgress(t *testing.T, policy *unstructured.Unstructured, port int64) bool {
	t.Helper()
	rules, _, err := unstructured.NestedSlice(policy.Object, "spec", "egress")
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range rules {
		rule := rule.(map[string]any)
		for _, p := range rule["ports"].([]any) {
			if rule["to"] == nil && p.(map[string]any)["port"] == port && p.(map[string]any)["protocol"] == "TCP" {
				return true
			}
		}
	}
	return false
}

// TestMetricsAreNotPublic checks that no Service that may be reached from outside the
// cluster has the port of the metrics.
func TestMetricsAreNotPublic(t *testing.T) {
	t.Parallel()
	loaded, err := chart.Load(append([]string{charts.RabbitMQ}, services...)...)
	if err != nil {
		t.Fatal(err)
	}
	for name := range loaded {
		for _, serviceType := range []string{"ClusterIP", "NodePort", "LoadBalancer"} {
			v := values{"service": values{"type": serviceType}}
			if name == charts.RabbitMQ {
				v = nil
			}
			objects, err := loaded.Render(name, "demo", "shop", v)
			if err != nil {
				t.Fatal(err)
			}
			ports := 0
			for _, object := range objects {
				encoded, err := object.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				if object.GetKind() != "Service" || !bytes.Contains(encoded, []byte(`"name":"metrics"`)) {
					continue
				}
				ports++
				if got, _, _ := unstructured.NestedString(object.Object, "spec", "type"); got != "ClusterIP" {
					t.Errorf("Service %s of type %s has the port of the metrics", object.GetName(), got)
				}
			}
			if ports != 1 {
				t.Errorf("%s: %d Services of a %s have the port of the metrics, want 1", name, ports, serviceType)
			}
		}
	}
}
