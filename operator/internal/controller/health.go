package controller

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// observeHealth sets the components, the version and the endpoint in the status, and the
// condition EndpointReady.
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
	return errors.Join(append(errs, r.observeEndpoint(ctx))...)
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

// mixedVersion is the version of services with different tags.
const mixedVersion = "mixed"

// runningVersion returns the tag of the images that run, mixedVersion, or "".
func runningVersion(services []v1alpha1.ComponentStatus) string {
	version := ""
	for _, service := range services {
		switch tag := imageTagOf(service.Image); {
		case tag == "":
		case version == "":
			version = tag
		case tag != version:
			return mixedVersion
		}
	}
	return version
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
