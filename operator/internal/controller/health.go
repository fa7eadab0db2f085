package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

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
	var all []v1alpha1.ComponentStatus
	var errs []error
	add := func(component string) {
		state, err := r.workload(ctx, component)
		errs = append(errs, err)
		if state.found {
			all = append(all, v1alpha1.ComponentStatus{
				Name: component, Ready: state.ready, Desired: state.desired, Image: r.runningImage(state),
			})
		}
	}
	for _, service := range services {
		add(service)
	}
	r.stack.Status.Version = runningVersion(all)
	if r.stack.Spec.MySQL.Embedded != nil {
		add(charts.MySQL)
	}
	if r.stack.Spec.RabbitMQ.Embedded != nil {
		add(charts.RabbitMQ)
	}
	r.stack.Status.Components = all
	endpoint, err := r.gatewayEndpoint(ctx)
	r.stack.Status.Endpoint = endpoint
	return errors.Join(append(errs, err)...)
}

// runningImage returns the image of the last completed rollout, or "" before the first.
func (r *reconciliation) runningImage(state workloadStatus) string {
	if state.rolledOut {
		return state.image
	}
	for _, before := range r.original.Status.Components {
		if before.Name == state.component {
			return before.Image
		}
	}
	return ""
}

// runningVersion returns the tags of the images that run, separated by commas.
func runningVersion(services []v1alpha1.ComponentStatus) string {
	var tags []string
	for _, service := range services {
		if tag := imageTagOf(service.Image); tag != "" && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	slices.Sort(tags)
	return strings.Join(tags, ",")
}

// imageTagOf returns the tag of an image, else its digest, else "latest", which is the tag
// of an image without one.
func imageTagOf(image string) string {
	if image == "" {
		return ""
	}
	name, digest, _ := strings.Cut(image, "@")
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		return name[i+1:]
	}
	return cmp.Or(digest, "latest")
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
