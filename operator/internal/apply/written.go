package apply

import (
	"context"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// written records the resource versions that the API server returned for objects which the
// cache may still hold in an older version. It is safe for concurrent use. An entry is
// removed when the cache has caught up.
type written struct{ versions sync.Map }

type objectID struct {
	kind schema.GroupVersionKind
	key  client.ObjectKey
}

// record stores the version that a write returned.
func (w *written) record(id objectID, version string) { w.versions.Store(id, version) }

// isCurrent reports whether a version from the cache, or "" for an object that is not in
// it, is at least as new as the last write.
func (w *written) isCurrent(id objectID, cached string) bool {
	last, found := w.versions.Load(id)
	if !found {
		return true
	}
	if cached == "" {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(cached, last.(string))
	if err != nil || order < 0 {
		return false
	}
	w.versions.Delete(id)
	return true
}

// Get returns an object from the cache, or from the API server if the cached one is older
// than what the last apply returned: the status of an older object says nothing about the
// applied spec. The error of an object that does not exist is a NotFound error.
func (a *Applier) Get(ctx context.Context, kind schema.GroupVersionKind, key client.ObjectKey) (*unstructured.Unstructured, error) {
	id := objectID{kind, key}
	live := newObject(kind)
	err := a.reader(kind).Get(ctx, key, live)
	if client.IgnoreNotFound(err) != nil || a.written.isCurrent(id, live.GetResourceVersion()) {
		return live, err
	}
	live = newObject(kind)
	if err = a.apiReader.Get(ctx, key, live); apierrors.IsNotFound(err) {
		a.written.versions.Delete(id)
	}
	return live, err
}
