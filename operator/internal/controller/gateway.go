package controller

import (
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// Reasons of ClientAddressKnown and HTTPRouteApplied.
const (
	reasonNoTrustedProxies = "NoTrustedProxies"
	reasonNodeAddress      = "ExternalTrafficPolicyCluster"
	reasonNoGatewayAPI     = "NoGatewayAPI"
	reasonNotApplied       = "NotApplied"
)

// gateway applies the gateway's chart. It returns what the gateway waits for, or "". Until
// the certificate can be used, a gateway that serves already is left as it is.
func (p *pass) gateway(ctx context.Context, checksum string) (string, error) {
	problem, err := p.certificateProblem(ctx)
	if err != nil || problem != "" {
		return problem, err
	}
	route := p.stack.Spec.Gateway.HTTPRoute
	served := false
	if route != nil {
		if served, err = p.applier.Served(ctx, apply.HTTPRoute, p.stack.Namespace); err != nil {
			return "", err
		}
	}
	v := serviceValues(p.stack, p.options, charts.Gateway, checksum)
	if served {
		v["httpRoute"] = values{"enabled": true, "parentRefs": route.ParentRefs, "hostnames": route.Hostnames}
	}
	err = p.apply(ctx, charts.Gateway, v)
	p.reportHTTPRoute(served, err)
	return "", err
}

// certificateProblem returns what is wrong with the Secret of spec.gateway.tls, or "". The
// Secret is not the operator's, so it is not in the cache. A missing one is waited for and
// not a fault, because cert-manager creates it after the resource that asks for it.
func (p *pass) certificateProblem(ctx context.Context) (string, error) {
	spec := p.stack.Spec.Gateway.TLS
	if spec == nil {
		return "", nil
	}
	secret := &corev1.Secret{}
	err := p.live.Get(ctx, client.ObjectKey{Namespace: p.stack.Namespace, Name: spec.SecretName}, secret)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("The gateway waits for Secret %s of spec.gateway.tls.secretName, which does not exist in namespace %s: "+
			"create it with the keys %s and %s", spec.SecretName, p.stack.Namespace, corev1.TLSCertKey, corev1.TLSPrivateKeyKey), nil
	}
	if err != nil {
		return "", fmt.Errorf("read Secret %s: %w", spec.SecretName, err)
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(secret.Data[key]) == 0 {
			return fmt.Sprintf("The gateway waits for Secret %s of spec.gateway.tls.secretName, which has no key %s: add it",
				spec.SecretName, key), nil
		}
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return fmt.Sprintf("The gateway waits for Secret %s of spec.gateway.tls.secretName, whose %s and %s cannot be used (%v): replace them",
			spec.SecretName, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err), nil
	}
	return "", nil
}

// reportHTTPRoute sets the condition of the route, which only a stack with one has.
func (p *pass) reportHTTPRoute(served bool, err error) {
	switch {
	case p.stack.Spec.Gateway.HTTPRoute == nil:
		meta.RemoveStatusCondition(&p.stack.Status.Conditions, v1alpha1.ConditionHTTPRouteApplied)
	case !served:
		p.set(v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionFalse, reasonNoGatewayAPI,
			fmt.Sprintf("The cluster has no %s of %s: install the Gateway API, and spec.gateway.httpRoute is applied at the next resync",
				apply.HTTPRoute.Kind, apply.HTTPRoute.GroupVersion()))
	case err != nil:
		p.set(v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionFalse, reasonNotApplied, "The gateway's objects are not all applied: "+err.Error())
	default:
		p.set(v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionTrue, reasonDone,
			fmt.Sprintf("HTTPRoute %s is applied; its own status reports acceptance by the Gateway", name(p.stack, charts.Gateway)))
	}
}

// reportClientAddress sets the condition that reports whether the gateway can distinguish
// clients. An Event warns once when it cannot.
func (p *pass) reportClientAddress() {
	reason, message := clientAddressProblem(&p.stack.Spec.Gateway)
	warning, key := string(p.stack.UID)+reason, client.ObjectKeyFromObject(p.stack)
	last, _ := p.warned.Swap(key, warning)
	if reason == "" {
		p.set(v1alpha1.ConditionClientAddressKnown, metav1.ConditionTrue, reasonDone, "The gateway sees or is told the addresses of clients")
		return
	}
	before := meta.FindStatusCondition(p.before.Status.Conditions, v1alpha1.ConditionClientAddressKnown)
	if last != warning && (before == nil || before.Reason != reason) {
		p.event(corev1.EventTypeWarning, reason, "CheckClientAddress", message)
	}
	p.set(v1alpha1.ConditionClientAddressKnown, metav1.ConditionFalse, reason, message)
}

// clientAddressProblem returns a reason and a message when all clients look the same to
// the gateway.
func clientAddressProblem(spec *v1alpha1.GatewaySpec) (reason, message string) {
	var proxies []string
	if spec.Ingress != nil {
		proxies = append(proxies, "the Ingress")
	}
	if spec.HTTPRoute != nil {
		proxies = append(proxies, "the HTTPRoute")
	}
	switch {
	case len(spec.TrustedProxies) > 0:
		return "", ""
	case len(proxies) > 0:
		return reasonNoTrustedProxies, fmt.Sprintf("All clients that come through %s have the proxy's address and share its rate limit: "+
			"set spec.gateway.trustedProxies to the CIDRs from which the proxy connects", strings.Join(proxies, " and "))
	case spec.Service.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyCluster:
		return reasonNodeAddress, "Clients have the address of a node and share its rate limit: set spec.gateway.service.externalTrafficPolicy " +
			"to Local, or spec.gateway.trustedProxies to the nodes' CIDRs when a proxy in front sets X-Forwarded-For"
	}
	return "", ""
}
