package apply

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Applier applies objects. It is safe for concurrent use.
type Applier struct {
	client    client.Client
	apiReader client.Reader
	written   written
	settled   settled
	// recreating holds the UIDs of StatefulSets that recreate has deleted, by objectID.
	recreating sync.Map
}

// New returns an Applier. cached reads from a cache that holds the objects of
// ManagedSelector; apiReader reads from the API server.
func New(cached client.Client, apiReader client.Reader) *Applier {
	return &Applier{client: cached, apiReader: apiReader}
}

// Set is the desired set of objects of one component of a stack.
type Set struct {
	Owner     metav1.OwnerReference
	Namespace string
	Instance  string
	Component string
	Objects   []*unstructured.Unstructured
	// Optional lists kinds that the component may have in addition to Kinds. Objects of
	// a kind that the API server does not serve cannot be applied; see Served.
	Optional []schema.GroupVersionKind
	// Adopt takes ownership of existing objects that the operator does not manage.
	Adopt bool
	// ReadOnly makes Apply return the changes that are needed without making them.
	ReadOnly bool
}

// Change is a change that was made to an object.
type Change struct {
	// Description says what was done, such as `apply Deployment demo-sales`.
	Description string
	// Kind and Name identify the object.
	Kind, Name string
	// Drift reports whether the operator had applied the same desired state before, so
	// that someone else changed the object.
	Drift bool
	// Created reports whether the object did not exist.
	Created bool
	// Recreated reports whether it did not exist because the operator had deleted it.
	Recreated bool
}

// NotOwnedError is returned when an object exists that the operator does not manage for the
// stack. Only a person can resolve it.
type NotOwnedError struct {
	Kind, Namespace, Name string
	// Stack is the name of the stack that the object belongs to, or "".
	Stack string
}

// Error names the object and the possible resolutions.
func (e *NotOwnedError) Error() string {
	if e.Stack != "" {
		return fmt.Sprintf("%s %s/%s belongs to stack %s: choose another name for one of the stacks", e.Kind, e.Namespace, e.Name, e.Stack)
	}
	return fmt.Sprintf("%s %s/%s already exists and is not managed by the operator: delete it, or set spec.adopt to adopt it",
		e.Kind, e.Namespace, e.Name)
}

// Apply applies the objects of the set, and deletes objects of the component that are not
// in the set. It returns the changes that it made; an object that is in the desired state
// is not written. Unless the set adopts, Apply returns a *NotOwnedError if an object exists
// that the operator does not manage. An object that cannot be applied does not keep the others
// from being applied.
func (a *Applier) Apply(ctx context.Context, set Set) ([]Change, error) {
	var changes []Change
	var errs []error
	for _, object := range set.Objects {
		change, err := a.ApplyObject(ctx, set, object)
		if err != nil {
			errs = append(errs, fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err))
		}
		if change != nil {
			changes = append(changes, *change)
		}
	}
	if len(errs) > 0 {
		return changes, errors.Join(errs...)
	}
	pruned, err := a.prune(ctx, set, func(o *unstructured.Unstructured) bool { return !set.has(o) })
	return append(changes, pruned...), err
}

// Delete deletes all objects of the component. It reports whether any existed.
func (a *Applier) Delete(ctx context.Context, set Set) (bool, error) {
	existed := false
	_, err := a.prune(ctx, set, func(*unstructured.Unstructured) bool { existed = true; return true })
	return existed, err
}

// Served reports whether the API server serves a kind. It does not use a cache.
func (a *Applier) Served(ctx context.Context, kind schema.GroupVersionKind, namespace string) (bool, error) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(listKind(kind))
	err := a.apiReader.List(ctx, list, client.InNamespace(namespace), client.Limit(1))
	if IsNotServed(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("list %ss: %w", kind.Kind, err)
	}
	return true, nil
}

// IsNotServed reports whether the error of a list request or of ApplyObject means that the
// API server does not serve the kind. It is a NotFound error if the REST mapper still has a
// kind whose CRD was deleted.
func IsNotServed(err error) bool { return meta.IsNoMatchError(err) || apierrors.IsNotFound(err) }

// reader returns the cache for kinds that are cached, else the API server.
func (a *Applier) reader(kind schema.GroupVersionKind) client.Reader {
	if slices.Contains(Kinds, kind) {
		return a.client
	}
	return a.apiReader
}

func (s Set) has(live *unstructured.Unstructured) bool {
	return slices.ContainsFunc(s.Objects, func(o *unstructured.Unstructured) bool {
		return o.GroupVersionKind() == live.GroupVersionKind() && o.GetName() == live.GetName()
	})
}

// ApplyObject applies one object with the namespace and the owner of the set. It returns the
// change that it made, or nil if the object is in the desired state, or as near to it as another
// component lets it be. Unless the set adopts, it returns a *NotOwnedError if the object exists and the operator does not manage it. See
// IsNotServed for objects of optional kinds.
func (a *Applier) ApplyObject(ctx context.Context, set Set, object *unstructured.Unstructured) (*Change, error) {
	desired, err := set.desiredObject(object)
	if err != nil {
		return nil, err
	}
	id := objectID{desired.GroupVersionKind(), client.ObjectKeyFromObject(desired)}
	live, err := a.Get(ctx, id.kind, id.key)
	change := &Change{
		Description: fmt.Sprintf("apply %s %s", desired.GetKind(), desired.GetName()), Kind: desired.GetKind(), Name: desired.GetName(),
	}
	hash := desired.GetAnnotations()[hashAnnotation]
	var before string
	switch {
	case apierrors.IsNotFound(err), err == nil && !ManagedSelector.Matches(labels.Set(live.GetLabels())):
		if err := a.checkUnowned(ctx, set, desired); err != nil {
			return nil, err
		}
		change.Created = true
		_, change.Recreated = a.recreating.Load(id)
	case err != nil:
		return nil, err
	case set.isOfAnotherStack(live):
		return nil, &NotOwnedError{Kind: desired.GetKind(), Namespace: set.Namespace, Name: desired.GetName(), Stack: metav1.GetControllerOf(live).Name}
	case live.GetDeletionTimestamp() != nil && a.isRecreating(id, live):
		return nil, nil // The watch reports when it is gone.
	case live.GetDeletionTimestamp() != nil:
		return nil, fmt.Errorf("it is being deleted; the operator creates it again afterwards")
	default:
		if before, err = fingerprint(differences(live.Object, desired.Object)); err != nil {
			return nil, err
		}
		same := live.GetAnnotations()[hashAnnotation] == hash
		if same && (before == "" || a.settled.has(id, hash, before)) {
			return nil, nil
		}
		change.Drift = same
	}
	if set.ReadOnly {
		return change, nil
	}
	if !change.Created && needsRecreation(live, desired) {
		change.Description = fmt.Sprintf("recreate %s %s without its pods", desired.GetKind(), desired.GetName())
		return change, a.recreate(ctx, id, live)
	}
	if !change.Created {
		if err := a.keepReplicas(ctx, id, desired); err != nil {
			return nil, err
		}
	}
	after, err := a.write(ctx, id, desired)
	if err != nil {
		return nil, err
	}
	a.settled.record(id, hash, after)
	a.recreating.Delete(id)
	if change.Drift && after == before {
		return nil, nil // Nothing was changed.
	}
	return change, nil
}

// write applies the object and removes what others have added to it. It returns the
// fingerprint of the differences that remain: another component, such as an admission
// webhook, has the last word about them.
func (a *Applier) write(ctx context.Context, id objectID, desired *unstructured.Unstructured) (remaining string, err error) {
	err = retry.RetryOnConflict(retry.DefaultRetry, func() error {
		live := desired.DeepCopy()
		// Apply replaces live by the object that the API server returns.
		if err := a.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(live),
			client.ForceOwnership, client.FieldOwner(Manager)); err != nil {
			return err
		}
		applied := live.DeepCopy()
		found := differences(live.Object, desired.Object)
		if withoutSurplus(live.Object, found) {
			if err := a.client.Patch(ctx, live, client.MergeFromWithOptions(applied, client.MergeFromWithOptimisticLock{}),
				client.FieldOwner(Manager)); err != nil {
				return err
			}
			found = differences(live.Object, desired.Object)
		}
		if slices.Contains(Kinds, id.kind) {
			a.written.record(id, live.GetResourceVersion())
		}
		remaining, err = fingerprint(found)
		return err
	})
	return remaining, err
}

// isOfAnotherStack reports whether a managed object belongs to a stack of another name. One
// of the same name is a predecessor, which is deleted.
func (s Set) isOfAnotherStack(live *unstructured.Unstructured) bool {
	owner := metav1.GetControllerOf(live)
	return owner != nil && owner.UID != s.Owner.UID && owner.Name != s.Owner.Name
}

// desiredObject returns a copy of the object with its namespace, owner reference and hash.
func (s Set) desiredObject(object *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	desired := object.DeepCopy()
	desired.SetNamespace(s.Namespace)
	desired.SetOwnerReferences([]metav1.OwnerReference{s.Owner})
	content, err := json.Marshal(desired.Object)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	annotations := desired.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[hashAnnotation] = hex.EncodeToString(sum[:8])
	desired.SetAnnotations(annotations)
	return desired, nil
}

// checkUnowned reads from the API server, because the cache holds only objects with the
// operator's label.
func (a *Applier) checkUnowned(ctx context.Context, set Set, desired *unstructured.Unstructured) error {
	if set.Adopt {
		return nil
	}
	live := &metav1.PartialObjectMetadata{}
	live.SetGroupVersionKind(desired.GroupVersionKind())
	err := a.apiReader.Get(ctx, client.ObjectKeyFromObject(desired), live)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, reference := range live.GetOwnerReferences() {
		if reference.UID == set.Owner.UID {
			return nil
		}
	}
	return &NotOwnedError{Kind: desired.GetKind(), Namespace: set.Namespace, Name: desired.GetName()}
}

// prune deletes those of the owner's objects in the component for which pick returns true.
func (a *Applier) prune(ctx context.Context, set Set, pick func(*unstructured.Unstructured) bool) ([]Change, error) {
	var changes []Change
	for _, kind := range slices.Concat(Kinds, set.Optional) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(listKind(kind))
		err := a.reader(kind).List(ctx, list, client.InNamespace(set.Namespace),
			client.MatchingLabels(Labels(set.Instance, set.Component)))
		if slices.Contains(set.Optional, kind) && IsNotServed(err) {
			continue
		}
		if err != nil {
			return changes, fmt.Errorf("list %ss: %w", kind.Kind, err)
		}
		for i := range list.Items {
			object := &list.Items[i]
			if !metav1.IsControlledBy(object, &metav1.ObjectMeta{UID: set.Owner.UID}) || !pick(object) {
				continue
			}
			if object.GetDeletionTimestamp() != nil {
				continue
			}
			change := Change{
				Description: fmt.Sprintf("delete %s %s", kind.Kind, object.GetName()), Kind: kind.Kind, Name: object.GetName(),
			}
			if set.ReadOnly {
				changes = append(changes, change)
				continue
			}
			uid := object.GetUID()
			if err := a.client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground),
				client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
				return changes, fmt.Errorf("delete %s %s: %w", kind.Kind, object.GetName(), err)
			}
			id := objectID{kind, client.ObjectKeyFromObject(object)}
			a.written.versions.Delete(id)
			a.settled.states.Delete(id)
			changes = append(changes, change)
		}
	}
	return changes, nil
}

func listKind(kind schema.GroupVersionKind) schema.GroupVersionKind {
	kind.Kind += "List"
	return kind
}

func newObject(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object
}
