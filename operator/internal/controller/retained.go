package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// retainedAnnotation is set on the Secret with the signing keys, which remains when a stack
// that retains its data is deleted. Its value is a JSON object with the immutable fields of
// the stack. The API server cannot compare them for a new stack of the same name.
const retainedAnnotation = "ecommerce-stack.dev/retained-spec"

// replicasField is the only retained field that may change: it can be raised.
const replicasField = "spec.rabbitmq.embedded.replicas"

// immutableFieldError is returned when a stack has another value in an immutable field than
// the stack that left its data.
type immutableFieldError struct{ field, retained, specified string }

func (e *immutableFieldError) Error() string {
	change := "be changed"
	if e.field == replicasField {
		change = "be lowered"
	}
	return fmt.Sprintf("%s is %s, but the retained data of the stack was created with %s, and it cannot %s: set %[1]s to %[3]s, "+
		"or use another name for a stack without this data", e.field, e.specified, e.retained, change)
}

// immutableFields returns the fields of the spec that determine the meaning or the place of
// the data.
func immutableFields(stack *v1alpha1.ECommerceStack) map[string]string {
	fields := map[string]string{
		"spec.currency": stack.Spec.Currency, "spec.mysql": "embedded", "spec.rabbitmq": "embedded",
	}
	if external := stack.Spec.MySQL.External; external != nil {
		fields["spec.mysql"] = "external"
		fields["spec.mysql.external.schemaPrefix"] = strconv.Quote(external.SchemaPrefix)
	}
	if stack.Spec.RabbitMQ.External != nil {
		fields["spec.rabbitmq"] = "external"
		fields["spec.rabbitmq.external.vhost"] = desiredVHost(stack).Name
	} else {
		fields[replicasField] = strconv.Itoa(int(stack.Spec.RabbitMQ.Embedded.Replicas))
	}
	return fields
}

// checkRetained returns an *immutableFieldError if the stack differs from the one that left
// its data in an immutable field. It must run before anything is changed.
func (r *reconciliation) checkRetained(ctx context.Context) error {
	secret := &corev1.Secret{}
	name := objectName(r.stack, "auth-jwt")
	err := r.client.Get(ctx, client.ObjectKey{Namespace: r.stack.Namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Secret %s: %w", name, err)
	}
	if secret.Labels[apply.InstanceLabel] != r.stack.Name || secret.Annotations[retainedAnnotation] == "" {
		return nil
	}
	var retained map[string]string
	if err := json.Unmarshal([]byte(secret.Annotations[retainedAnnotation]), &retained); err != nil {
		return &invalidInputError{fmt.Sprintf("the annotation %s of Secret %s cannot be decoded (%v): remove it", retainedAnnotation, name, err)}
	}
	specified := immutableFields(r.stack)
	for _, field := range slices.Sorted(maps.Keys(retained)) {
		before, now := retained[field], specified[field]
		// A field that only the other kind of server has is reported by that kind.
		if now == "" || now == before || field == replicasField && now > before {
			continue
		}
		return &immutableFieldError{field: field, retained: before, specified: now}
	}
	return nil
}

// recordRetained stores the immutable fields in the Secret with the signing keys.
func (r *reconciliation) recordRetained(ctx context.Context, secret *corev1.Secret) error {
	encoded, err := json.Marshal(immutableFields(r.stack))
	if err != nil {
		return err
	}
	before := secret.DeepCopy()
	metav1.SetMetaDataAnnotation(&secret.ObjectMeta, retainedAnnotation, string(encoded))
	return r.patchSecret(ctx, secret, before)
}
