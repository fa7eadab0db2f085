package controller

import (
	"context"
	"errors"
	"fmt"
	"net"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
	"ecommerce-stack.dev/operator/internal/mysql"
	"ecommerce-stack.dev/operator/internal/rabbitmq"
)

// reconcileDeletion deletes the services first, then releases or destroys the data on
// external servers as the deletion policy says, then deletes the embedded servers.
func (r *reconciliation) reconcileDeletion(ctx context.Context) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(r.stack, finalizer) {
		return ctrl.Result{}, nil
	}
	deleted, err := r.deleteComponents(ctx, services)
	if err != nil || !deleted {
		r.markDeleting("waiting for the services to stop", false)
		return ctrl.Result{RequeueAfter: r.requeueDelay()}, err
	}
	if err := r.releaseExternalServers(ctx); err != nil {
		r.markDeleting(fmt.Sprintf("%v; to skip the cleanup of external servers, annotate the stack with %s=true",
			err, v1alpha1.ForceDeleteAnnotation), true)
		if isTerminal(err) {
			return ctrl.Result{RequeueAfter: r.resyncDelay()}, nil
		}
		return ctrl.Result{}, err
	}
	deleted, err = r.deleteComponents(ctx, []string{charts.MySQL, charts.RabbitMQ})
	if err != nil || !deleted {
		r.markDeleting("waiting for the embedded servers to stop", false)
		return ctrl.Result{RequeueAfter: r.requeueDelay()}, err
	}
	if r.stack.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		if err := errors.Join(r.deleteVolumes(ctx), r.deleteSecrets(ctx)); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.releaseSecrets(ctx); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.removeFinalizer(ctx)
}

// removeFinalizer removes the finalizer, after which the API server deletes the stack.
func (r *reconciliation) removeFinalizer(ctx context.Context) error {
	r.observations.forget(r.stack.UID)
	r.certificates.forget(r.stack.UID)
	r.causes.forget(r.stack.UID)
	r.endpoints.forget(r.stack.UID)
	before := r.stack.DeepCopy()
	controllerutil.RemoveFinalizer(r.stack, finalizer)
	if err := r.client.Patch(ctx, r.stack, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	r.stack.Status = r.original.Status
	return nil
}

// deleteComponents deletes the objects of the components. It reports whether their pods are
// gone.
func (r *reconciliation) deleteComponents(ctx context.Context, components []string) (bool, error) {
	remaining := false
	for _, component := range components {
		existed, err := r.applier.Delete(ctx, r.componentSet(component))
		if err != nil {
			return false, err
		}
		pods := &metav1.PartialObjectMetadataList{}
		pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		if err := r.apiReader.List(ctx, pods, client.InNamespace(r.stack.Namespace), client.Limit(1),
			client.MatchingLabels(apply.Labels(r.stack.Name, component))); err != nil {
			return false, fmt.Errorf("list the pods of %s: %w", component, err)
		}
		remaining = remaining || existed || len(pods.Items) > 0
	}
	return !remaining, nil
}

// releaseExternalServers cleans up external servers once.
func (r *reconciliation) releaseExternalServers(ctx context.Context) error {
	if r.stack.Annotations[releasedAnnotation] != "" {
		return nil
	}
	if err := r.cleanUpExternalServers(ctx); err != nil {
		return err
	}
	return r.markReleased(ctx)
}

// cleanUpExternalServers releases or destroys the data on external servers. The data of
// embedded servers is on their volumes.
func (r *reconciliation) cleanUpExternalServers(ctx context.Context) error {
	if r.stack.Annotations[v1alpha1.ForceDeleteAnnotation] == "true" {
		r.recordEvent(warning, "ForceDeleted", "Delete", "Schemas, accounts and virtual host on external servers were not cleaned up")
		return nil
	}
	var errs []error
	if r.stack.Spec.MySQL.External != nil {
		errs = append(errs, r.ignoreUnknownHost("MySQL", r.cleanUpMySQL(ctx)))
	}
	if r.stack.Spec.RabbitMQ.External != nil {
		errs = append(errs, r.ignoreUnknownHost("RabbitMQ", r.cleanUpRabbitMQ(ctx)))
	}
	return errors.Join(errs...)
}

// ignoreUnknownHost returns nil if the server's host name does not resolve. A server that
// cannot be reached may become available again, so that error is returned.
func (r *reconciliation) ignoreUnknownHost(system string, err error) error {
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound {
		r.recordEvent(warning, "ServerGone", "Delete", fmt.Sprintf("Host %s of the %s server no longer resolves; its cleanup was skipped", lookup.Name, system))
		return nil
	}
	return err
}

func (r *reconciliation) cleanUpMySQL(ctx context.Context) (err error) {
	server, err := r.mysqlServer(ctx)
	if err != nil {
		return err
	}
	admin, err := mysql.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	cleanUp := admin.Release
	if r.stack.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		cleanUp = admin.Drop
	}
	for _, service := range schemaServices {
		if err := cleanUp(ctx, desiredSchema(r.stack, service), r.owner); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciliation) cleanUpRabbitMQ(ctx context.Context) error {
	server, _, err := r.rabbitmqServer(ctx)
	if err != nil {
		return err
	}
	admin, err := rabbitmq.Connect(server)
	if err != nil {
		return err
	}
	if r.stack.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		return admin.Delete(desiredVHost(r.stack), r.owner)
	}
	return admin.Release(desiredVHost(r.stack), r.owner)
}

// deleteVolumes deletes the volumes of the embedded servers.
func (r *reconciliation) deleteVolumes(ctx context.Context) error {
	for _, component := range []string{charts.MySQL, charts.RabbitMQ} {
		claims := &metav1.PartialObjectMetadataList{}
		claims.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
		if err := r.apiReader.List(ctx, claims, client.InNamespace(r.stack.Namespace),
			client.MatchingLabels(apply.Labels(r.stack.Name, component))); err != nil {
			return fmt.Errorf("list the volumes of %s: %w", component, err)
		}
		for i := range claims.Items {
			claim := &claims.Items[i]
			if !isVolumeOf(claim.Name, objectName(r.stack, component)) {
				continue
			}
			if err := r.client.Delete(ctx, claim); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete volume %s: %w", claim.Name, err)
			}
		}
	}
	return nil
}
