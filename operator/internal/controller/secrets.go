package controller

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/internal/apply"
)

// secretContent is what the operator writes into a Secret.
type secretContent struct {
	data        map[string][]byte
	annotations map[string]string
}

// get returns the value of a key, or "".
func (c secretContent) get(key string) string { return string(c.data[key]) }

// set sets the value of a key.
func (c secretContent) set(key, value string) { c.data[key] = []byte(value) }

// generate sets a key that is empty to 256 random bits, encoded in characters that need no
// quoting in URLs, DSNs and shells.
func (c secretContent) generate(key string) error {
	if len(c.data[key]) > 0 {
		return nil
	}
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return fmt.Errorf("generate a random %s: %w", key, err)
	}
	c.set(key, base64.RawURLEncoding.EncodeToString(random))
	return nil
}

// ensureSecret creates or updates a Secret of the stack. fill is called with the current
// content and modifies it. The Secret has no owner reference, because credentials outlive a
// stack that retains its data; labels identify the stack.
func (r *reconciliation) ensureSecret(ctx context.Context, component, name string, fill func(secretContent) error) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: r.stack.Namespace, Name: name}
	err := r.client.Get(ctx, key, secret)
	if apierrors.IsNotFound(err) {
		return r.createSecret(ctx, component, key, fill)
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	if !r.manages(secret) {
		return nil, &apply.NotOwnedError{Kind: "Secret", Namespace: key.Namespace, Name: key.Name, Stack: secret.Labels[apply.InstanceLabel]}
	}
	return secret, r.updateSecret(ctx, secret, fill)
}

// manages reports whether the operator manages a Secret for the stack. The namespace has at
// most one stack of a name, so the Secret may be that of a predecessor, but not of another stack.
func (r *reconciliation) manages(secret *corev1.Secret) bool {
	return secret.Labels[apply.ManagedByLabel] == apply.Manager && secret.Labels[apply.InstanceLabel] == r.stack.Name
}

func (r *reconciliation) createSecret(ctx context.Context, component string, key client.ObjectKey, fill func(secretContent) error) (*corev1.Secret, error) {
	content := secretContent{map[string][]byte{}, map[string]string{}}
	if err := fill(content); err != nil {
		return nil, fmt.Errorf("Secret %s: %w", key.Name, err) //nolint:staticcheck // a kind's name
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: key.Namespace, Name: key.Name, Labels: apply.Labels(r.stack.Name, component), Annotations: content.annotations,
		},
		Data: content.data,
	}
	err := r.client.Create(ctx, secret)
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			err = fmt.Errorf("create Secret %s: %w", key.Name, err)
		}
		return secret, err
	}
	return r.adoptSecret(ctx, component, key, fill)
}

// adoptSecret handles a Secret that exists but is not in the cache: it was just created, or
// the operator does not manage it.
func (r *reconciliation) adoptSecret(ctx context.Context, component string, key client.ObjectKey, fill func(secretContent) error) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	if err := r.apiReader.Get(ctx, key, secret); err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", key.Name, err)
	}
	labels := apply.Labels(r.stack.Name, component)
	if !r.manages(secret) {
		if !r.adopts() {
			return nil, &apply.NotOwnedError{Kind: "Secret", Namespace: key.Namespace, Name: key.Name}
		}
		before := secret.DeepCopy()
		if secret.Labels == nil {
			secret.Labels = map[string]string{}
		}
		maps.Copy(secret.Labels, labels)
		if err := r.client.Patch(ctx, secret, client.MergeFrom(before)); err != nil {
			return nil, fmt.Errorf("adopt Secret %s: %w", key.Name, err)
		}
	}
	return secret, r.updateSecret(ctx, secret, fill)
}

func (r *reconciliation) updateSecret(ctx context.Context, secret *corev1.Secret, fill func(secretContent) error) error {
	before := secret.DeepCopy()
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	if err := fill(secretContent{secret.Data, secret.Annotations}); err != nil {
		return fmt.Errorf("Secret %s: %w", secret.Name, err) //nolint:staticcheck // a kind's name
	}
	return r.patchSecret(ctx, secret, before)
}

// markProvisioned records in the Secrets that their accounts exist.
func (r *reconciliation) markProvisioned(ctx context.Context, accounts []accountState, value string) error {
	for _, account := range accounts {
		if err := r.updateSecret(ctx, account.Secret, func(c secretContent) error {
			c.annotations[provisionedAnnotation] = value
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (r *reconciliation) patchSecret(ctx context.Context, secret, before *corev1.Secret) error {
	if equality.Semantic.DeepEqual(before, secret) {
		return nil
	}
	if err := r.client.Patch(ctx, secret, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("update Secret %s: %w", secret.Name, err)
	}
	return nil
}

// readSecret returns a Secret that has the given keys and that the operator does not manage. It
// returns an *invalidInputError that names field if the Secret or a key is
// missing.
func (r *reconciliation) readSecret(ctx context.Context, field, name string, keys ...string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := r.apiReader.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, &invalidInputError{fmt.Sprintf("%s refers to Secret %s, which does not exist in namespace %s: create it with the keys %v",
			field, name, r.stack.Namespace, keys)}
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s: %w", name, err)
	}
	for _, key := range keys {
		if len(secret.Data[key]) == 0 {
			return nil, &invalidInputError{fmt.Sprintf("%s refers to Secret %s, which has no key %s: add it", field, name, key)}
		}
	}
	return secret, nil
}

// deleteSecrets deletes the stack's credentials.
func (r *reconciliation) deleteSecrets(ctx context.Context) error {
	list := &corev1.SecretList{}
	if err := r.client.List(ctx, list, client.InNamespace(r.stack.Namespace), client.MatchingLabels{
		apply.InstanceLabel: r.stack.Name, apply.ManagedByLabel: apply.Manager}); err != nil {
		return fmt.Errorf("list Secrets: %w", err)
	}
	for secret := range slices.Values(list.Items) {
		if err := r.client.Delete(ctx, &secret); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete Secret %s: %w", secret.Name, err)
		}
	}
	return nil
}
