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

// Reasons of the conditions ClientAddressKnown, HTTPRouteApplied and PodMonitorsApplied.
const (
	reasonNoTrustedProxies             = "NoTrustedProxies"
	reasonExternalTrafficPolicyCluster = "ExternalTrafficPolicyCluster"
	reasonNoGatewayAPI                 = "NoGatewayAPI"
	reasonNoPrometheusOperator         = "NoPrometheusOperator"
	reasonNotApplied                   = "NotApplied"
)

// applyGateway applies the gateway's chart. It returns what the gateway waits for, or "". A
// running gateway is not changed until its certificate is usable.
func (r *reconciliation) applyGateway(ctx context.Context, checksum string) (string, error) {
	problem, err := r.certificateProblem(ctx)
	if err != nil || problem != "" {
		return problem, err
	}
	route := r.stack.Spec.Gateway.HTTPRoute
	served := false
	if route != nil {
		if served, err = r.applier.Served(ctx, apply.HTTPRoute, r.stack.Namespace); err != nil {
			return "", err
		}
	}
	v := serviceValues(r.stack, r.options, charts.Gateway, checksum)
	if served {
		v["httpRoute"] = values{"enabled": true, "parentRefs": route.ParentRefs, "hostnames": route.Hostnames}
	}
	err = r.applyChart(ctx, charts.Gateway, v)
	r.reportHTTPRoute(served, err)
	return "", err
}

// certificateProblem returns what is wrong with the Secret of spec.gateway.tls, or "". It
// reads from the API server, because the Secret is not managed by the operator and so not
// in the cache. A missing Secret is not an error, because cert-manager creates it after the
// Certificate.
func (r *reconciliation) certificateProblem(ctx context.Context) (string, error) {
	spec := r.stack.Spec.Gateway.TLS
	if spec == nil {
		return "", nil
	}
	secret := &corev1.Secret{}
	err := r.apiReader.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: spec.SecretName}, secret)
	if apierrors.IsNotFound(err) {
		return fmt.Sprintf("Waiting for Secret %s of spec.gateway.tls.secretName, which does not exist in namespace %s: "+
			"create it with the keys %s and %s", spec.SecretName, r.stack.Namespace, corev1.TLSCertKey, corev1.TLSPrivateKeyKey), nil
	}
	if err != nil {
		return "", fmt.Errorf("read Secret %s: %w", spec.SecretName, err)
	}
	for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
		if len(secret.Data[key]) == 0 {
			return fmt.Sprintf("Waiting for Secret %s of spec.gateway.tls.secretName, which has no key %s: add it",
				spec.SecretName, key), nil
		}
	}
	if _, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey]); err != nil {
		return fmt.Sprintf("Waiting for Secret %s of spec.gateway.tls.secretName, whose %s and %s cannot be used (%v): replace them",
			spec.SecretName, corev1.TLSCertKey, corev1.TLSPrivateKeyKey, err), nil
	}
	return "", nil
}

// reportHTTPRoute sets the condition HTTPRouteApplied, or removes it if the stack has no
// route.
func (r *reconciliation) reportHTTPRoute(served bool, err error) {
	switch {
	case r.stack.Spec.Gateway.HTTPRoute == nil:
		meta.RemoveStatusCondition(&r.stack.Status.Conditions, v1alpha1.ConditionHTTPRouteApplied)
	case !served:
		r.setCondition(v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionFalse, reasonNoGatewayAPI,
			fmt.Sprintf("The API server does not serve %s of %s: install the Gateway API; spec.gateway.httpRoute is applied at the next resync",
				apply.HTTPRoute.Kind, apply.HTTPRoute.GroupVersion()))
	case err != nil:
		r.setCondition(v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionFalse, reasonNotApplied, "Not all objects of the gateway are applied: "+err.Error())
	default:
		r.setCondition(v1alpha1.ConditionHTTPRouteApplied, metav1.ConditionTrue, reasonAsSpecified,
			fmt.Sprintf("HTTPRoute %s is applied; its own status reports acceptance by the Gateway", objectName(r.stack, charts.Gateway)))
	}
}

// reportClientAddress sets the condition ClientAddressKnown. It records one Event when the
// condition becomes False or its reason changes.
func (r *reconciliation) reportClientAddress() {
	reason, message := clientAddressProblem(&r.stack.Spec.Gateway)
	warning, key := string(r.stack.UID)+reason, client.ObjectKeyFromObject(r.stack)
	last, _ := r.lastWarnings.Swap(key, warning)
	if reason == "" {
		r.setCondition(v1alpha1.ConditionClientAddressKnown, metav1.ConditionTrue, reasonAsSpecified, "The gateway can determine client addresses")
		return
	}
	before := meta.FindStatusCondition(r.original.Status.Conditions, v1alpha1.ConditionClientAddressKnown)
	if last != warning && (before == nil || before.Reason != reason) {
		r.recordEvent(corev1.EventTypeWarning, reason, "CheckClientAddress", message)
	}
	r.setCondition(v1alpha1.ConditionClientAddressKnown, metav1.ConditionFalse, reason, message)
}

// clientAddressProblem returns a reason and a message if the gateway cannot distinguish
// clients, else empty strings.
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
		return reasonNoTrustedProxies, fmt.Sprintf("Clients behind %s have the address of the proxy and share one rate limit: "+
			"set spec.gateway.trustedProxies to the CIDRs from which the proxy connects", strings.Join(proxies, " and "))
	case spec.Service.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyCluster:
		return reasonExternalTrafficPolicyCluster, "Clients have the address of a node and share one rate limit: set spec.gateway.service.externalTrafficPolicy " +
			"to Local, or spec.gateway.trustedProxies to the nodes' CIDRs when a proxy in front sets X-Forwarded-For"
	}
	return "", ""
}
