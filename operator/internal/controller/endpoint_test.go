package controller

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// serveGateway simulates a gateway at an address until the test ends.
func (f *fixture) serveGateway(t *testing.T, address string, start func(http.Handler) *httptest.Server) *httptest.Server {
	t.Helper()
	server := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != probePath || r.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	redirects.redirect(address, server.Listener.Addr().String())
	return server
}

func (f *fixture) waitForEndpoint(t *testing.T, endpoint string, status metav1.ConditionStatus, reason, message string) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		live := f.live(t)
		found := meta.FindStatusCondition(live.Status.Conditions, v1alpha1.ConditionEndpointReady)
		if live.Status.Endpoint != endpoint || found == nil || found.Status != status || found.Reason != reason || !strings.Contains(found.Message, message) {
			return fmt.Errorf("endpoint %q with %+v, want %q, %s, %s with %q", live.Status.Endpoint, found, endpoint, status, reason, message)
		}
		return nil
	})
}

func TestEndpointIsOneThatWasReached(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	internal := "http://demo-gateway." + f.namespace + ".svc:5001"
	host := f.namespace + ".example"
	redirects.redirect(host+":80", "127.0.0.1:1")
	redirects.redirect(host+":443", "127.0.0.1:1")
	f.stack.Spec.Gateway.Ingress = &v1alpha1.IngressSpec{Host: host}
	f.makeReady(t)
	f.waitForEndpoint(t, internal, metav1.ConditionFalse, reasonNoIngressClass, "set spec.gateway.ingress.className")

	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.Ingress.ClassName = "nginx" })
	f.waitForEndpoint(t, internal, metav1.ConditionFalse, reasonLoadBalancerPending, "check that a controller serves IngressClass nginx")
	server := f.serveGateway(t, host+":80", httptest.NewServer)
	f.waitForEndpoint(t, "http://"+host, metav1.ConditionTrue, reasonReached, "http://"+host)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	server.Close()
	f.waitForEndpoint(t, internal, metav1.ConditionFalse, reasonLoadBalancerPending, "nothing responds at http://"+host)

	f.serveGateway(t, host+":443", httptest.NewTLSServer)
	f.update(t, func(stack *v1alpha1.ECommerceStack) { stack.Spec.Gateway.Ingress.TLSSecretName = "shop-tls" })
	f.waitForEndpoint(t, internal, metav1.ConditionFalse, reasonNoTLSSecret, "Secret shop-tls of spec.gateway.ingress.tlsSecretName does not exist")
	f.create(t, f.secret("shop-tls", "any", "any"))
	f.waitForEndpoint(t, "https://"+host, metav1.ConditionTrue, reasonReached, "https://"+host)
}

func TestPendingLoadBalancerIsReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stack.Spec.Gateway.Service = v1alpha1.GatewayServiceSpec{Type: corev1.ServiceTypeLoadBalancer}
	f.makeReady(t)
	internal := "http://demo-gateway." + f.namespace + ".svc:5001"
	f.waitForEndpoint(t, internal, metav1.ConditionFalse, reasonLoadBalancerPending, "has not assigned an address to Service demo-gateway")
	redirects.redirect("192.0.2.7:5001", "127.0.0.1:1")
	service := f.service(t)
	service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.7"}}
	if err := api.Status().Update(context.Background(), service); err != nil {
		t.Fatal(err)
	}
	f.waitForEndpoint(t, internal, metav1.ConditionFalse, reasonUnreachable, "connection refused. If clients do, a network policy may deny the operator's connections")
	f.serveGateway(t, "192.0.2.7:5001", httptest.NewServer)
	f.waitForEndpoint(t, "http://192.0.2.7:5001", metav1.ConditionTrue, reasonReached, "http://192.0.2.7:5001")
}
