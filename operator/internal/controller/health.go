package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// observeHealth sets the components, the version and the endpoint in the status.
func (r *reconciliation) observeHealth(ctx context.Context) error {
	var components []v1alpha1.ComponentStatus
	var errs []error
	add := func(component string, read func(context.Context, string) (workloadStatus, error)) {
		state, err := read(ctx, component)
		errs = append(errs, err)
		if state.found {
			components = append(components, v1alpha1.ComponentStatus{
				Name: component, Ready: state.ready, Desired: state.desired, Image: state.image,
			})
		}
	}
	for _, service := range services {
		add(service, r.deploymentStatus)
	}
	if r.stack.Spec.MySQL.Embedded != nil {
		add(charts.MySQL, r.statefulSetStatus)
	}
	if r.stack.Spec.RabbitMQ.Embedded != nil {
		add(charts.RabbitMQ, r.statefulSetStatus)
	}
	r.stack.Status.Components = components
	r.stack.Status.Version = version(r.stack, r.options)
	endpoint, err := r.gatewayEndpoint(ctx)
	r.stack.Status.Endpoint = endpoint
	return errors.Join(append(errs, err)...)
}

// gatewayEndpoint returns the URL of the Ingress, else of the load balancer, else of the
// Service.
func (r *reconciliation) gatewayEndpoint(ctx context.Context) (string, error) {
	gateway := r.stack.Spec.Gateway
	if ingress := gateway.Ingress; ingress != nil {
		if ingress.TLSSecretName != "" {
			return "https://" + ingress.Host, nil
		}
		return "http://" + ingress.Host, nil
	}
	scheme := "http"
	if gateway.TLS != nil {
		scheme = "https"
	}
	internal := fmt.Sprintf("%s://%s:%s", scheme, r.serviceHost(charts.Gateway), gatewayPort)
	if gateway.Service.Type != corev1.ServiceTypeLoadBalancer {
		return internal, nil
	}
	address, err := r.loadBalancerAddress(ctx)
	if err != nil || address == "" {
		return internal, err
	}
	return scheme + "://" + net.JoinHostPort(address, gatewayPort), nil
}

func (r *reconciliation) loadBalancerAddress(ctx context.Context) (string, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Service"))
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: objectName(r.stack, charts.Gateway)}, object)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the gateway's Service: %w", err)
	}
	var service corev1.Service
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &service); err != nil {
		return "", err
	}
	ingress := service.Status.LoadBalancer.Ingress
	if len(ingress) == 0 {
		return "", nil
	}
	return cmp.Or(ingress[0].Hostname, ingress[0].IP), nil
}
