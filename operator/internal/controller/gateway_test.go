package controller

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

func TestMissingTrustedProxiesAreReportedOnceWithoutAffectingReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.waitFor(t, v1alpha1.ConditionClientAddressKnown, metav1.ConditionTrue)
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.Gateway.Ingress = &v1alpha1.IngressSpec{Host: "shop.example"}
	})
	message := f.waitFor(t, v1alpha1.ConditionClientAddressKnown, metav1.ConditionFalse)
	if !strings.Contains(message, "spec.gateway.trustedProxies") {
		t.Errorf("message %q does not name spec.gateway.trustedProxies", message)
	}
	f.waitForEvent(t, reasonNoTrustedProxies, "spec.gateway.trustedProxies")
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	if err := f.waitForReconciles(3); err != nil {
		t.Fatal(err)
	}
	if n := f.events(t, reasonNoTrustedProxies); n != 1 {
		t.Errorf("%d Events %s after several reconciliations, want 1", n, reasonNoTrustedProxies)
	}
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.TrustedProxies = []string{"10.0.0.0/8"} })
	f.waitFor(t, v1alpha1.ConditionClientAddressKnown, metav1.ConditionTrue)
	f.eventually(t, func(ctx context.Context) error {
		deployment := &appsv1.Deployment{}
		if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-gateway"}, deployment); err != nil {
			return err
		}
		if got := variable(deployment, "TRUSTED_PROXIES"); got != "10.0.0.0/8" {
			return fmt.Errorf("TRUSTED_PROXIES is %q", got)
		}
		return nil
	})
}

// events returns how often an Event occurred. The recorder may merge Events into a series.
func (f *fixture) events(t *testing.T, reason string) int {
	t.Helper()
	list := &eventsv1.EventList{}
	if err := api.List(context.Background(), list, client.InNamespace(f.namespace)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, event := range list.Items {
		if event.Reason != reason {
			continue
		}
		n++
		if event.Series != nil {
			n += int(event.Series.Count) - 1
		}
	}
	return n
}

func variable(deployment *appsv1.Deployment, name string) string {
	for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	return ""
}

func TestExternalTrafficPolicyFollowsTheServiceType(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.Gateway.Service = v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeLoadBalancer}
	f.makeReady(t)
	if got := f.service(t).Spec.ExternalTrafficPolicy; got != corev1.ServiceExternalTrafficPolicyLocal {
		t.Errorf("policy of a LoadBalancer %q, want Local", got)
	}
	for _, step := range []v1alpha1.GatewayServiceSpec{
		{Type: corev1.ServiceTypeNodePort, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyCluster},
		{Type: corev1.ServiceTypeClusterIP},
		{Type: corev1.ServiceTypeNodePort, ExternalTrafficPolicy: corev1.ServiceExternalTrafficPolicyLocal},
	} {
		f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.Service = step })
		f.eventually(t, func(context.Context) error {
			if spec := f.service(t).Spec; spec.Type != step.Type || spec.ExternalTrafficPolicy != step.ExternalTrafficPolicy {
				return fmt.Errorf("the Service has type %s and policy %q, want %+v", spec.Type, spec.ExternalTrafficPolicy, step)
			}
			return nil
		})
	}
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

func (f *fixture) service(t *testing.T) *corev1.Service {
	t.Helper()
	service := &corev1.Service{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: "demo-gateway"}, service); err != nil {
		t.Fatal(err)
	}
	return service
}

func TestMissingCertificateDoesNotChangeRunningGateway(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.makeReady(t)
	f.update(t, func(stack *v1alpha1.ECommerceStack) {
		stack.Spec.Gateway.TLS = &v1alpha1.GatewayTLSSpec{SecretName: "shop-tls"}
	})
	f.waitForMessage(t, "Secret shop-tls", "spec.gateway.tls.secretName", "does not exist")
	if port := f.service(t).Spec.Ports[0]; port.Name != "http" {
		t.Errorf("port %s without a certificate, want http as before", port.Name)
	}
	certificate, key := selfSigned(t)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "shop-tls"}, Data: map[string][]byte{"tls.crt": certificate},
	}
	f.create(t, secret)
	f.waitForMessage(t, "Secret shop-tls", "no key tls.key")
	_, other := selfSigned(t)
	f.setKey(t, secret, other)
	f.waitForMessage(t, "Secret shop-tls", "private key does not match")
	f.setKey(t, secret, key)
	f.eventually(t, func(context.Context) error {
		if port := f.service(t).Spec.Ports[0]; port.Name != "https" || port.AppProtocol == nil || *port.AppProtocol != "https" {
			return fmt.Errorf("port %+v, want https", port)
		}
		return nil
	})
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	f.serveGateway(t, "demo-gateway."+f.namespace+".svc:5001", httptest.NewTLSServer)
	f.waitForEndpoint(t, "https://demo-gateway."+f.namespace+".svc:5001", metav1.ConditionTrue, reasonReached, "responds")
}

// waitForMessage waits until WorkloadsReady is False with a message that contains all
// parts.
func (f *fixture) waitForMessage(t *testing.T, parts ...string) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		condition := meta.FindStatusCondition(f.live(t).Status.Conditions, v1alpha1.ConditionWorkloadsReady)
		if condition == nil || condition.Status != metav1.ConditionFalse {
			return fmt.Errorf("condition %+v, want False", condition)
		}
		for _, part := range parts {
			if !strings.Contains(condition.Message, part) {
				return fmt.Errorf("message %q lacks %q", condition.Message, part)
			}
		}
		return nil
	})
}

func (f *fixture) setKey(t *testing.T, secret *corev1.Secret, key []byte) {
	t.Helper()
	secret.Data["tls.key"] = key
	if err := api.Update(context.Background(), secret); err != nil {
		t.Fatal(err)
	}
}

// selfSigned returns a certificate and its private key in PEM.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	return selfSignedUntil(t, time.Now().Add(time.Hour))
}

func selfSignedUntil(t *testing.T, expiry time.Time) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"shop.example"}, NotAfter: expiry}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// The steps are one test because the CRD of HTTPRoute is cluster-scoped, and no other test
// may depend on whether it is installed.
func TestHTTPRouteFollowsTheSpecAndTheGatewayAPI(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	port := int32(443)
	f.stack.Spec.Gateway.TrustedProxies = []string{"10.0.0.0/8"}
	f.stack.Spec.Gateway.HTTPRoute = &v1alpha1.HTTPRouteSpec{
		ParentRefs: []v1alpha1.GatewayReference{{Name: "public", Namespace: "infra", SectionName: "https"}, {Name: "internal", Port: &port}},
		Hostnames:  []string{"shop.example"},
	}
	f.makeReady(t)
	message := f.waitFor(t, v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionFalse)
	if !strings.Contains(message, "install the Gateway API") {
		t.Errorf("message %q does not contain a resolution", message)
	}

	definition := envtest.CRDInstallOptions{Paths: []string{httpRouteDefinition(t)}}
	if _, err := envtest.InstallCRDs(apiServer, definition); err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionTrue)
	f.checkRoute(t)
	f.eventually(t, func(context.Context) error { return f.checkNoWritesFor(2, writes.of(f.namespace)) })

	if err := api.Delete(context.Background(), f.route(t)); err != nil {
		t.Fatal(err)
	}
	f.waitForEvent(t, "DriftHealed", "apply HTTPRoute demo-gateway")
	f.checkRoute(t)

	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.HTTPRoute = nil })
	f.eventually(t, func(ctx context.Context) error { return f.checkNoRoute(ctx, t) })

	foreign := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	foreign.SetGroupVersionKind(apply.HTTPRoute)
	foreign.SetNamespace(f.namespace)
	foreign.SetName("demo-gateway")
	f.create(t, foreign)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.HTTPRoute = f.stack.Spec.Gateway.HTTPRoute })
	f.waitForMessage(t, "HTTPRoute", "already exists and is not managed by the operator")
	if err := api.Delete(context.Background(), foreign); err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionTrue)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	if err := envtest.UninstallCRDs(apiServer, definition); err != nil {
		t.Fatal(err)
	}
	f.waitFor(t, v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionFalse)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
}

// httpRouteDefinition returns the path of the CRD in the module of the Gateway API.
func httpRouteDefinition(t *testing.T) string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api")
	var stderr bytes.Buffer
	command.Stderr = &stderr
	folder, err := command.Output()
	if err != nil {
		t.Fatalf("find the module of the Gateway API: %v\n%s", err, stderr.Bytes())
	}
	return filepath.Join(strings.TrimSpace(string(folder)), "config", "crd", "standard", "gateway.networking.k8s.io_httproutes.yaml")
}

func (f *fixture) route(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	route := &unstructured.Unstructured{}
	route.SetGroupVersionKind(apply.HTTPRoute)
	f.eventually(t, func(ctx context.Context) error {
		return api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-gateway"}, route)
	})
	return route
}

// checkRoute compares the HTTPRoute with the spec.
func (f *fixture) checkRoute(t *testing.T) {
	t.Helper()
	var route gatewayv1.HTTPRoute
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(f.route(t).Object, &route, true); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, ref := range route.Spec.ParentRefs {
		encoded := fmt.Sprintf("%s %s", *ref.Kind, ref.Name)
		if ref.Namespace != nil {
			encoded += " in " + string(*ref.Namespace)
		}
		if ref.SectionName != nil {
			encoded += " at " + string(*ref.SectionName)
		}
		if ref.Port != nil {
			encoded += fmt.Sprintf(" port %d", *ref.Port)
		}
		got = append(got, encoded)
	}
	got = append(got, string(route.Spec.Hostnames[0]))
	backend := route.Spec.Rules[0].BackendRefs[0]
	got = append(got, fmt.Sprintf("%s %s %d", *backend.Kind, backend.Name, *backend.Port))
	want := []string{"Gateway public in infra at https", "Gateway internal port 443", "shop.example", "Service demo-gateway 5001"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("route (-want +got):\n%s", diff)
	}
}

// checkNoRoute returns an error if the HTTPRoute, its condition or its inventory entry
// exists.
func (f *fixture) checkNoRoute(ctx context.Context, t *testing.T) error {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(apply.HTTPRoute)
	if err := api.List(ctx, list, client.InNamespace(f.namespace)); err != nil {
		return err
	}
	if len(list.Items) > 0 {
		return errors.New("the HTTPRoute is still there")
	}
	status := f.live(t).Status
	if meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionHTTPRouteApplied) != nil {
		return errors.New("the condition is still there")
	}
	for _, object := range status.Inventory {
		if object.Kind == apply.HTTPRoute.Kind {
			return errors.New("the inventory still has the HTTPRoute")
		}
	}
	return nil
}

func TestIngressTargetsHTTPSPort(t *testing.T) {
	t.Parallel()
	stack := defaultedStack()
	stack.Spec.Gateway.TLS = &v1alpha1.GatewayTLSSpec{SecretName: "shop-tls"}
	stack.Spec.Gateway.Ingress = &v1alpha1.IngressSpec{Host: "shop.example"}
	var ingress networkingv1.Ingress
	var service corev1.Service
	for _, object := range []struct {
		kind string
		into any
	}{{"Ingress", &ingress}, {"Service", &service}} {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(render(t, stack, charts.Gateway, object.kind).Object, object.into); err != nil {
			t.Fatal(err)
		}
	}
	backend := ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Port.Name
	if backend != "https" || service.Spec.Ports[0].Name != backend {
		t.Errorf("Ingress port %s, Service port %s, want https for both", backend, service.Spec.Ports[0].Name)
	}
}
