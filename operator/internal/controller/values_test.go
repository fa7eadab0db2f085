package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/chart"
)

// defaultedStack returns a stack with the defaults that the API server sets.
func defaultedStack() *v1alpha1.ECommerceStack {
	minutes := func(n int) metav1.Duration { return metav1.Duration{Duration: time.Duration(n) * time.Minute} }
	return &v1alpha1.ECommerceStack{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "demo"},
		Spec: v1alpha1.ECommerceStackSpec{
			Currency: "EUR",
			Image:    v1alpha1.ImageSpec{PullPolicy: corev1.PullIfNotPresent},
			MySQL:    v1alpha1.MySQLSpec{Embedded: &v1alpha1.EmbeddedMySQL{Storage: v1alpha1.StorageSpec{Size: resource.MustParse("5Gi")}}},
			RabbitMQ: v1alpha1.RabbitMQSpec{Embedded: &v1alpha1.EmbeddedRabbitMQ{Replicas: 1, Storage: v1alpha1.StorageSpec{Size: resource.MustParse("2Gi")}}},
			JWT:      v1alpha1.JWTSpec{Algorithm: "HS256", AccessTokenTTL: minutes(10), RefreshTokenTTL: minutes(60)},
			Sales:    v1alpha1.SalesSpec{HoldTTL: minutes(20)},
			Gateway:  v1alpha1.GatewaySpec{Service: v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeClusterIP}},
		},
	}
}

// render returns the stack's object of a kind, or nil.
func render(t *testing.T, stack *v1alpha1.ECommerceStack, component, kind string) *unstructured.Unstructured {
	t.Helper()
	typed := map[string]func() values{
		charts.MySQL:    func() values { return mysqlValues(stack, testOptions()) },
		charts.RabbitMQ: func() values { return rabbitmqValues(stack, testOptions()) },
	}[component]
	if typed == nil {
		typed = func() values { return serviceValues(stack, testOptions(), component, "sum") }
	}
	values, err := toMap(typed())
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := chart.Load(component)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := loaded.Render(component, stack.Name, stack.Namespace, values)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if object.GetKind() == kind {
			return object
		}
	}
	return nil
}

// environment returns the literal environment variables of the main container. Duplicate
// names are an error, because server-side apply rejects them.
func environment(t *testing.T, deployment *unstructured.Unstructured) map[string]string {
	t.Helper()
	containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for _, variable := range containers[0].(map[string]any)["env"].([]any) {
		pair := variable.(map[string]any)
		if _, twice := env[pair["name"].(string)]; twice {
			t.Errorf("the environment has %s twice", pair["name"])
		}
		if value, plain := pair["value"].(string); plain {
			env[pair["name"].(string)] = value
		}
	}
	return env
}

func TestSpecSetsServiceEnvironment(t *testing.T) {
	t.Parallel()
	stack := defaultedStack()
	stack.Spec.Gateway.CacheTTL = &metav1.Duration{}
	stack.Spec.Gateway.RateLimit = &v1alpha1.RateLimitSpec{RequestsPerSecond: 5, Burst: 7, LoginPerMinute: 0}
	stack.Spec.Gateway.CORS = &v1alpha1.CORSSpec{Origins: []string{"https://a.example", "https://b.example"}}
	stack.Spec.Gateway.TrustedProxies = []string{"10.0.0.0/8", "fd00::/8"}
	stack.Spec.Gateway.TLS = &v1alpha1.GatewayTLSSpec{SecretName: "shop-tls"}
	stack.Spec.Gateway.Env = []v1alpha1.EnvVar{{Name: "MAX_CONNECTIONS", Value: "64"}, {Name: "MAX_CONNECTIONS_PER_ADDRESS", Value: "8"}}
	stack.Spec.Auth.Env = []v1alpha1.EnvVar{{Name: "BCRYPT_COST", Value: "10"}, {Name: "LOG_LEVEL", Value: "debug"}}
	want := map[string]map[string]string{
		charts.Auth:  {"ACCESS_TOKEN_TTL": "10m0s", "REFRESH_TOKEN_TTL": "1h0m0s", "BCRYPT_COST": "10", "LOG_LEVEL": "debug", "JWT_ISSUER": "urn:ecommerce-stack:shop:demo"},
		charts.Sales: {"CURRENCY": "EUR", "HOLD_TTL": "20m0s", "JWT_AUDIENCE": "urn:ecommerce-stack:shop:demo:api"},
		charts.Stock: {"CURRENCY": "EUR", "HTTP_ADDR": ":5003"},
		charts.Gateway: {
			"CACHE_TTL": "0s", "RATE_LIMIT_RPS": "5", "RATE_LIMIT_BURST": "7", "LOGIN_RATE_PER_MINUTE": "0",
			"CORS_ORIGINS": "https://a.example,https://b.example", "SALES_URL": "http://demo-sales:5002",
			"TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8", "TLS_CERT_FILE": "/etc/ecommerce/tls/tls.crt", "TLS_KEY_FILE": "/etc/ecommerce/tls/tls.key",
			"MAX_CONNECTIONS": "64", "MAX_CONNECTIONS_PER_ADDRESS": "8",
		},
	}
	for service, variables := range want {
		got := environment(t, render(t, stack, service, "Deployment"))
		for name, value := range variables {
			if got[name] != value {
				t.Errorf("%s: %s is %q, want %q", service, name, got[name], value)
			}
		}
	}
}

func TestConnectionLimitIsUnsetByDefault(t *testing.T) {
	t.Parallel()
	env := environment(t, render(t, defaultedStack(), charts.Gateway, "Deployment"))
	if value, set := env["MAX_CONNECTIONS"]; set || env["MAX_CONNECTIONS_PER_ADDRESS"] != "256" {
		t.Errorf("MAX_CONNECTIONS %q and MAX_CONNECTIONS_PER_ADDRESS %q, want none and 256", value, env["MAX_CONNECTIONS_PER_ADDRESS"])
	}
}

func TestExternalTrafficPolicyKeepsClientAddressesByDefault(t *testing.T) {
	t.Parallel()
	cases := []struct {
		service v1alpha1.GatewayServiceSpec
		want    string
	}{
		{v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeClusterIP}, ""},
		{v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeNodePort}, "Local"},
		{v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeLoadBalancer}, "Local"},
		{v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeLoadBalancer, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster}, "Cluster"},
	}
	for _, c := range cases {
		stack := defaultedStack()
		stack.Spec.Gateway.Service = c.service
		got, _, err := unstructured.NestedString(render(t, stack, charts.Gateway, "Service").Object, "spec", "externalTrafficPolicy")
		if err != nil || got != c.want {
			t.Errorf("%+v: policy %q, error %v, want %q", c.service, got, err, c.want)
		}
	}
}

func TestClientAddressProblemNamesTheField(t *testing.T) {
	t.Parallel()
	ingress, route := &v1alpha1.IngressSpec{Host: "shop.example"}, &v1alpha1.HTTPRouteSpec{}
	cluster := v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeNodePort, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster}
	cases := []struct {
		spec   v1alpha1.GatewaySpec
		reason string
		names  []string
	}{
		{v1alpha1.GatewaySpec{}, "", nil},
		{v1alpha1.GatewaySpec{Ingress: ingress}, reasonNoTrustedProxies, []string{"the Ingress", "spec.gateway.trustedProxies"}},
		{v1alpha1.GatewaySpec{HTTPRoute: route}, reasonNoTrustedProxies, []string{"the HTTPRoute", "spec.gateway.trustedProxies"}},
		{v1alpha1.GatewaySpec{Ingress: ingress, HTTPRoute: route}, reasonNoTrustedProxies, []string{"the Ingress and the HTTPRoute"}},
		{v1alpha1.GatewaySpec{Ingress: ingress, TrustedProxies: []string{"10.0.0.0/8"}}, "", nil},
		{v1alpha1.GatewaySpec{Service: cluster}, reasonExternalTrafficPolicyCluster, []string{"spec.gateway.service.externalTrafficPolicy"}},
		{v1alpha1.GatewaySpec{Service: cluster, TrustedProxies: []string{"10.0.0.0/8"}}, "", nil},
	}
	for _, c := range cases {
		reason, message := clientAddressProblem(&c.spec)
		if reason != c.reason {
			t.Errorf("%+v: reason %q, want %q", c.spec, reason, c.reason)
		}
		for _, name := range c.names {
			if !strings.Contains(message, name) {
				t.Errorf("%+v: message %q does not name %s", c.spec, message, name)
			}
		}
	}
}

// imagesOf returns the images of all containers of a service.
func imagesOf(t *testing.T, stack *v1alpha1.ECommerceStack, service string) []string {
	t.Helper()
	deployment := render(t, stack, service, "Deployment")
	var images []string
	for _, kind := range []string{"initContainers", "containers"} {
		containers, _, err := unstructured.NestedSlice(deployment.Object, "spec", "template", "spec", kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, container := range containers {
			images = append(images, container.(map[string]any)["image"].(string))
		}
	}
	return images
}

func TestImageOfOneServiceReplacesOnlyItsImage(t *testing.T) {
	t.Parallel()
	const image = "registry.example:5000/shop/stock@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
	before, after := defaultedStack(), defaultedStack()
	after.Spec.Stock.Image = image
	for _, service := range services {
		want := imagesOf(t, before, service)
		if service == charts.Stock {
			want = []string{image, image} // migrate and serve
		}
		if diff := cmp.Diff(want, imagesOf(t, after, service)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", service, diff)
		}
		changed := cmp.Diff(render(t, before, service, "Deployment"), render(t, after, service, "Deployment")) != ""
		if changed != (service == charts.Stock) {
			t.Errorf("the Deployment of %s changed: %v", service, changed)
		}
	}
}

func TestVersionIsTheTagOfAllServices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		images []string
		want   string
	}{
		{[]string{"", ""}, ""},
		{[]string{"localhost/auth:test", "registry.example:5000/shop/stock:test", ""}, "test"},
		{[]string{"localhost/auth:test", "registry.example/shop/stock:2"}, "mixed"},
		{[]string{"a:2", "registry.example/c:2@sha256:0123"}, "2"},
		{[]string{"a@sha256:0123", "b:2"}, "mixed"},
		{[]string{"a@sha256:0123", "b@sha256:0123"}, "sha256:0123"},
	} {
		var services []v1alpha1.ComponentStatus
		for _, image := range c.images {
			services = append(services, v1alpha1.ComponentStatus{Image: image})
		}
		if got := runningVersion(services); got != c.want {
			t.Errorf("%q: version %q, want %q", c.images, got, c.want)
		}
	}
}

func TestAutoscalerOwnsReplicas(t *testing.T) {
	t.Parallel()
	stack := defaultedStack()
	if n, _, _ := unstructured.NestedInt64(render(t, stack, charts.Sales, "Deployment").Object, "spec", "replicas"); n != 1 {
		t.Errorf("%d replicas, want 1", n)
	}
	stack.Spec.Sales.Autoscaling = &v1alpha1.AutoscalingSpec{MinReplicas: 2, MaxReplicas: 4, TargetCPU: 50}
	if _, set, _ := unstructured.NestedInt64(render(t, stack, charts.Sales, "Deployment").Object, "spec", "replicas"); set {
		t.Error("the Deployment sets replicas despite an autoscaler")
	}
	scaler := render(t, stack, charts.Sales, "HorizontalPodAutoscaler")
	if n, _, _ := unstructured.NestedInt64(scaler.Object, "spec", "maxReplicas"); n != 4 {
		t.Errorf("at most %d replicas, want 4", n)
	}
}

func TestResourcesReplaceTheDefaults(t *testing.T) {
	t.Parallel()
	stack := defaultedStack()
	stack.Spec.Stock.Resources = &v1alpha1.ResourceSpec{Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}}
	containers, _, err := unstructured.NestedSlice(render(t, stack, charts.Stock, "Deployment").Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"requests": map[string]any{"memory": "1Gi"}, "limits": map[string]any{}}
	if diff := cmp.Diff(want, containers[0].(map[string]any)["resources"]); diff != "" {
		t.Errorf("resources (-want +got):\n%s", diff)
	}
}

func TestServerMemorySettingsFollowTheLimit(t *testing.T) {
	t.Parallel()
	stack := defaultedStack()
	limit := &v1alpha1.ResourceSpec{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("4Gi")}}
	stack.Spec.MySQL.Embedded.Resources, stack.Spec.RabbitMQ.Embedded.Resources = limit, limit
	if got := mysqlValues(stack, testOptions())["bufferPool"]; got != "2048M" {
		t.Errorf("buffer pool %v, want 2048M", got)
	}
	if got := rabbitmqValues(stack, testOptions())["memoryHighWatermark"]; got != "2457MiB" {
		t.Errorf("high watermark %v, want 2457MiB", got)
	}
	for _, server := range []string{charts.MySQL, charts.RabbitMQ} {
		if render(t, stack, server, "StatefulSet") == nil {
			t.Errorf("no StatefulSet of %s", server)
		}
	}
}

func TestNetworkPoliciesCanBeDisabled(t *testing.T) {
	t.Parallel()
	stack, no := defaultedStack(), false
	stack.Spec.NetworkPolicies = &no
	for _, component := range append([]string{charts.MySQL, charts.RabbitMQ}, services...) {
		if render(t, stack, component, "NetworkPolicy") != nil {
			t.Errorf("%s has a NetworkPolicy", component)
		}
	}
}

func TestServersAdmitTheOperatorFromItsNamespace(t *testing.T) {
	t.Parallel()
	options := testOptions()
	options.Namespace = "ecommerce-system"
	for name, rendered := range map[string]values{
		charts.MySQL: mysqlValues(defaultedStack(), options), charts.RabbitMQ: rabbitmqValues(defaultedStack(), options),
	} {
		if policy := rendered["networkPolicy"].(values); policy["operatorNamespace"] != options.Namespace {
			t.Errorf("%s: policy %v, want the namespace %s", name, policy, options.Namespace)
		}
	}
}
