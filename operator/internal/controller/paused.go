package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// reconcilePaused updates the status and changes nothing else. The conditions of the
// external servers and of the keys remain as last observed.
func (r *reconciliation) reconcilePaused(ctx context.Context) error {
	r.observePodMonitors(ctx)
	result, err := r.observeObjects(ctx)
	r.setPhaseCondition(v1alpha1.ConditionWorkloadsReady, result, err)
	err = errors.Join(err, r.observeHealth(ctx))
	message := "the operator makes no changes"
	if !r.stack.DeletionTimestamp.IsZero() {
		message = "deletion waits"
	}
	r.markPaused(message + " until spec.paused is false")
	return err
}

// observeObjects compares the objects of all components with the spec. It returns what is
// not applied or not ready.
func (r *reconciliation) observeObjects(ctx context.Context) (phaseResult, error) {
	components := services
	if r.stack.Spec.RabbitMQ.Embedded != nil {
		components = append([]string{charts.RabbitMQ}, components...)
	}
	if r.stack.Spec.MySQL.Embedded != nil {
		components = append([]string{charts.MySQL}, components...)
	}
	checksums, missing, err := r.secretChecksums(ctx)
	if err != nil {
		return phaseResult{}, err
	}
	var problems []string
	for _, secret := range missing {
		problems = append(problems, "Secret "+secret+" has no credentials")
	}
	var result phaseResult
	for _, component := range components {
		problem, err := r.compareComponent(ctx, component, checksums[component])
		if err != nil {
			return phaseResult{}, err
		}
		if problem != "" {
			problems = append(problems, problem)
		}
		state, err := r.workload(ctx, component)
		if err != nil {
			return phaseResult{}, err
		}
		if !state.rolledOut {
			problems = append(problems, component+" "+state.String())
		}
		if state.failure != nil {
			result.failures = append(result.failures, *state.failure)
		}
	}
	for _, change := range r.unapplied {
		problems = append(problems, "missing: "+change.Description)
	}
	if len(problems) == 0 {
		return phaseReady("%d components are applied and their pods are ready", len(components))
	}
	result.waiting, result.reason = true, reasonPaused
	result.message = fmt.Sprintf("Not as specified while paused: %s", strings.Join(problems, "; "))
	return result, nil
}

// compareComponent adds the changes that a component lacks to r.unapplied. It returns why
// the component could not be changed, or "".
func (r *reconciliation) compareComponent(ctx context.Context, component, checksum string) (string, error) {
	switch component {
	case charts.MySQL:
		return r.compareServer(ctx, component, "mysql-root", r.stack.Spec.MySQL.Embedded.Storage.Size, mysqlValues(r.stack, r.options))
	case charts.RabbitMQ:
		return r.compareServer(ctx, component, "rabbitmq-admin", r.stack.Spec.RabbitMQ.Embedded.Storage.Size, rabbitmqValues(r.stack, r.options))
	case charts.Gateway:
		return r.applyGateway(ctx, checksum)
	default:
		return "", r.applyChart(ctx, component, serviceValues(r.stack, r.options, component, checksum))
	}
}

// compareServer is compareComponent for an embedded server.
func (r *reconciliation) compareServer(ctx context.Context, component, suffix string, size resource.Quantity, typed values) (string, error) {
	admin := &corev1.Secret{}
	name := objectName(r.stack, suffix)
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: name}, admin)
	if apierrors.IsNotFound(err) {
		return "Secret " + name + " does not exist", nil
	}
	if err != nil {
		return "", fmt.Errorf("read Secret %s: %w", name, err)
	}
	_, err = r.applyEmbeddedServer(ctx, component, admin, size, typed)
	return "", err
}
