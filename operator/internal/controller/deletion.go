package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

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

// delete removes the services first, then lets go of or destroys what they used, as the
// deletion policy says, and then the embedded servers.
func (p *pass) delete(ctx context.Context) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(p.stack, finalizer) {
		return ctrl.Result{}, nil
	}
	gone, err := p.removed(ctx, services)
	if err != nil || !gone {
		p.markDeleting("the services are stopping", false)
		return ctrl.Result{RequeueAfter: waitInterval}, err
	}
	if err := p.leaveServers(ctx); err != nil {
		p.markDeleting(fmt.Sprintf("%v; annotate the stack with %s=true to leave what is on the server behind",
			err, v1alpha1.ForceDeleteAnnotation), true)
		if terminal(err) {
			return ctrl.Result{RequeueAfter: p.jittered()}, nil
		}
		return ctrl.Result{}, err
	}
	gone, err = p.removed(ctx, []string{charts.MySQL, charts.RabbitMQ})
	if err != nil || !gone {
		p.markDeleting("the servers are stopping", false)
		return ctrl.Result{RequeueAfter: waitInterval}, err
	}
	if p.stack.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		if err := errors.Join(p.deleteVolumes(ctx), p.deleteSecrets(ctx)); err != nil {
			return ctrl.Result{}, err
		}
	}
	return ctrl.Result{}, p.letGo(ctx)
}

// letGo removes the finalizer. The stack is gone after that.
func (p *pass) letGo(ctx context.Context) error {
	p.checks.forget(p.stack.UID)
	before := p.stack.DeepCopy()
	controllerutil.RemoveFinalizer(p.stack, finalizer)
	if err := p.client.Patch(ctx, p.stack, client.MergeFrom(before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("remove the finalizer: %w", err)
	}
	p.stack.Status = p.before.Status
	return nil
}

// removed deletes the components and says whether their pods are gone.
func (p *pass) removed(ctx context.Context, components []string) (bool, error) {
	left := false
	for _, component := range components {
		some, err := p.applier.Delete(ctx, p.component(component))
		if err != nil {
			return false, err
		}
		pods := &metav1.PartialObjectMetadataList{}
		pods.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PodList"))
		if err := p.live.List(ctx, pods, client.InNamespace(p.stack.Namespace), client.Limit(1),
			client.MatchingLabels(apply.Labels(p.stack.Name, component))); err != nil {
			return false, fmt.Errorf("list the pods of %s: %w", component, err)
		}
		left = left || some || len(pods.Items) > 0
	}
	return !left, nil
}

// leaveServers destroys or releases what is on external servers. What is on embedded
// ones goes or stays with their volumes.
func (p *pass) leaveServers(ctx context.Context) error {
	if p.stack.Annotations[v1alpha1.ForceDeleteAnnotation] == "true" {
		p.event(warning, "ForceDeleted", "Delete", "schemas, accounts and virtual host on external servers were left behind")
		return nil
	}
	var errs []error
	if p.stack.Spec.MySQL.External != nil {
		errs = append(errs, p.unlessGone("MySQL", p.leaveMySQL(ctx)))
	}
	if p.stack.Spec.RabbitMQ.External != nil {
		errs = append(errs, p.unlessGone("RabbitMQ", p.leaveRabbitMQ(ctx)))
	}
	return errors.Join(errs...)
}

// unlessGone forgives a server whose name no longer exists. One that does not answer may
// come back, with the data.
func (p *pass) unlessGone(system string, err error) error {
	var lookup *net.DNSError
	if errors.As(err, &lookup) && lookup.IsNotFound {
		p.event(warning, "ServerGone", "Delete", fmt.Sprintf("the name of the %s server, %s, does not exist any more", system, lookup.Name))
		return nil
	}
	return err
}

func (p *pass) leaveMySQL(ctx context.Context) (err error) {
	server, err := p.mysqlServer(ctx)
	if err != nil {
		return err
	}
	admin, err := mysql.Connect(ctx, server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, admin.Close()) }()
	leave := admin.Release
	if p.stack.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		leave = admin.Drop
	}
	for _, service := range schemaServices {
		if err := leave(ctx, mysqlSchema(p.stack, service), p.owner); err != nil {
			return err
		}
	}
	return nil
}

func (p *pass) leaveRabbitMQ(ctx context.Context) error {
	server, _, err := p.rabbitmqServer(ctx)
	if err != nil {
		return err
	}
	admin, err := rabbitmq.Connect(server)
	if err != nil {
		return err
	}
	if p.stack.Spec.DeletionPolicy == v1alpha1.DeletionDelete {
		return admin.Delete(virtualHost(p.stack), p.owner)
	}
	return admin.Release(virtualHost(p.stack), p.owner)
}

// deleteVolumes destroys the volumes of the embedded servers.
func (p *pass) deleteVolumes(ctx context.Context) error {
	for _, component := range []string{charts.MySQL, charts.RabbitMQ} {
		claims := &metav1.PartialObjectMetadataList{}
		claims.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaimList"))
		if err := p.live.List(ctx, claims, client.InNamespace(p.stack.Namespace),
			client.MatchingLabels(apply.Labels(p.stack.Name, component))); err != nil {
			return fmt.Errorf("list the volumes of %s: %w", component, err)
		}
		for i := range claims.Items {
			claim := &claims.Items[i]
			if !strings.HasPrefix(claim.Name, "data-"+name(p.stack, component)+"-") {
				continue
			}
			if err := p.client.Delete(ctx, claim); client.IgnoreNotFound(err) != nil {
				return fmt.Errorf("delete volume %s: %w", claim.Name, err)
			}
		}
	}
	return nil
}
