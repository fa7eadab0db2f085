package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// releasedAnnotation is set on a stack that is being deleted and whose data on external
// servers is released or destroyed, so that the Secrets to connect to them are not needed again.
const releasedAnnotation = "ecommerce-stack.dev/released"

// secretFinalizer returns the finalizer with which a stack holds a Secret that it needs to
// connect to an external server, and which several stacks may use.
func secretFinalizer(stack *v1alpha1.ECommerceStack) string {
	return "ecommerce-stack.dev/stack-" + stack.Name
}

// readAdminSecret returns the user name and password of the administrator of an external
// server.
func (r *reconciliation) readAdminSecret(ctx context.Context, field, name string) (username, password string, err error) {
	secret, err := r.readHeldSecret(ctx, field, name, "username", "password")
	if err != nil {
		return "", "", err
	}
	return string(secret.Data["username"]), string(secret.Data["password"]), nil
}

// readHeldSecret returns a Secret that the operator needs to connect to an external server. The
// Secret gets a finalizer: when a namespace is deleted, its Secrets are deleted before the stack
// has released its data on the server.
func (r *reconciliation) readHeldSecret(ctx context.Context, field, name string, keys ...string) (*corev1.Secret, error) {
	secret, err := r.readSecret(ctx, field, name, keys...)
	if err == nil && r.stack.DeletionTimestamp == nil {
		err = r.holdSecret(ctx, secret)
	}
	return secret, err
}

// holdSecret adds the finalizer. A Secret that a person deletes, to create it again, is
// released, but not one that is deleted with its namespace.
func (r *reconciliation) holdSecret(ctx context.Context, secret *corev1.Secret) error {
	before := secret.DeepCopy()
	if secret.DeletionTimestamp == nil {
		if !controllerutil.AddFinalizer(secret, secretFinalizer(r.stack)) {
			return nil
		}
		return r.patchSecret(ctx, secret, before)
	}
	namespace := &corev1.Namespace{}
	if err := r.apiReader.Get(ctx, client.ObjectKey{Name: secret.Namespace}, namespace); err != nil {
		return fmt.Errorf("read namespace %s: %w", secret.Namespace, err)
	}
	if namespace.DeletionTimestamp != nil || !controllerutil.RemoveFinalizer(secret, secretFinalizer(r.stack)) {
		return nil
	}
	return r.patchSecret(ctx, secret, before)
}

// heldSecretNames returns the names of the Secrets that the operator needs to connect to
// external servers: those of administrators and certificate authorities.
func heldSecretNames(stack *v1alpha1.ECommerceStack) []string {
	var names []string
	if external := stack.Spec.MySQL.External; external != nil {
		names = append(names, external.AdminSecretRef.Name)
	}
	if external := stack.Spec.RabbitMQ.External; external != nil {
		names = append(names, external.AdminSecretRef.Name)
	}
	for _, ref := range authoritiesRefs(stack) {
		names = append(names, ref.Name)
	}
	return names
}

// releaseSecrets removes the finalizer from the Secrets that have it, except those named.
func (r *reconciliation) releaseSecrets(ctx context.Context, except ...string) error {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	if err := r.apiReader.List(ctx, list, client.InNamespace(r.stack.Namespace)); err != nil {
		return fmt.Errorf("list Secrets: %w", err)
	}
	for i := range list.Items {
		secret := &list.Items[i]
		before := secret.DeepCopy()
		if slices.Contains(except, secret.Name) || !controllerutil.RemoveFinalizer(secret, secretFinalizer(r.stack)) {
			continue
		}
		patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
		if err := r.client.Patch(ctx, secret, patch); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("remove the finalizer of Secret %s: %w", secret.Name, err)
		}
	}
	return nil
}

// markReleased records that the data on external servers is released.
func (r *reconciliation) markReleased(ctx context.Context) error {
	if len(heldSecretNames(r.stack)) == 0 {
		return nil
	}
	before, status := r.stack.DeepCopy(), r.stack.Status
	metav1.SetMetaDataAnnotation(&r.stack.ObjectMeta, releasedAnnotation, "true")
	if err := r.client.Patch(ctx, r.stack, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("record that the data is released: %w", err)
	}
	r.stack.Status = status
	return nil
}
